"""Anybody's folder of images: every file finds its case, and every fault is named."""

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from bench.api import Case
from bench.faults import Report
from bench.folder import check, index
from bench.identity import file_digest

PROMPTS = ("a {} in the jungle", "a {} with a city: 'by night', in the café?")
NOUNS = {"dog": "dog", "dog2": "dog", "vase": "vase"}


def asked(subjects: Iterable[str] = NOUNS, seeds: Iterable[int] = (0, 1)) -> tuple[Case, ...]:
    return tuple(
        Case(
            suite="toys@1",
            subject=subject,
            prompt_index=number,
            prompt=prompt.format(NOUNS[subject]),
            name=NOUNS[subject],
            reference="00.jpg",
            seed=seed,
        )
        for subject in subjects
        for number, prompt in enumerate(PROMPTS)
        for seed in seeds
    )


CASES = asked()


def draw(path: Path, mode: str = "RGB", size: tuple[int, int] = (8, 8)) -> Path:
    """An image that no other path gets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = Random(str(path)).randbytes(3 * size[0] * size[1])
    image = Image.frombytes("RGB", size, noise).convert(mode)
    image.save(path)
    return path


def named(case: Case, seed: int | None = None) -> str:
    return f"{case.subject}/{case.prompt_index}-{case.seed if seed is None else seed}.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A perfect one."""
    for case in CASES:
        draw(tmp_path / "images" / named(case))
    return tmp_path / "images"


def report_on(source: Path, cases: tuple[Case, ...] = CASES) -> Report:
    return check(index(source, cases))


def faults(report: Report) -> dict[str, list[str]]:
    """Where the faults are, by kind."""
    kinds = dict.fromkeys(fault.kind for fault in report.faults)
    return {kind: [f.where for f in report.faults if f.kind == kind] for kind in kinds}


def words(report: Report) -> str:
    return "\n".join(f"{fault.kind} {fault.where}: {fault.words}" for fault in report.faults)


def answered(report: Report) -> dict[tuple[str, int, int], str]:
    return {(c.subject, c.prompt_index, c.seed): path.name for c, path, _ in report.images}


def write_manifest(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(case: Case) -> dict[str, object]:
    image, prompt = f"images/{named(case)}", case.prompt_index
    return {"image": image, "subject": case.subject, "prompt": prompt, "seed": case.seed}


def test_a_perfect_folder_has_no_faults(folder: Path) -> None:
    report = report_on(folder)
    assert report.faults == ()
    assert report.sentence == f"All 12 images asked for are in {folder}."
    assert [case for case, _, _ in report.images] == list(CASES)
    for case, path, sha256 in report.images:
        assert path == folder / named(case)
        assert sha256 == file_digest(path)


@pytest.mark.parametrize(
    "name", ["1-0.png", "01-0.png", "001-00.JPG", "1-0.Jpeg", "1-0.webp", "1-0.BMP", "1-0.tiff"]
)
def test_numbers_may_have_zeros_before_them_and_suffixes_any_case(
    tmp_path: Path, name: str
) -> None:
    draw(tmp_path / "vase" / name)
    assert answered(report_on(tmp_path)) == {("vase", 1, 0): name}


@pytest.mark.parametrize(
    "name",
    [
        "a vase with a city: 'by night', in the café?-0.png",
        "a_vase_with_a_city__'by_night',_in_the_café_-0.png",
        "a vase with a city by night in the café-0.png",
        "A-vase-with-a-city-by-night-in-the-cafe-0.png",
        unicodedata.normalize("NFD", "a vase with a city by night in the café-0.png"),
    ],
)
@pytest.mark.parametrize("place", [".", "vase"])
def test_a_prompt_is_known_by_every_spelling_that_a_file_system_allows(
    tmp_path: Path, place: str, name: str
) -> None:
    draw(tmp_path / place / name)
    assert answered(report_on(tmp_path)) == {("vase", 1, 0): name}


def test_a_prompt_of_two_subjects_has_to_lie_in_a_subjects_folder(tmp_path: Path) -> None:
    draw(tmp_path / "a dog in the jungle-0.png")
    draw(tmp_path / "dog2" / "a dog in the jungle-0.png")
    report = report_on(tmp_path)
    assert faults(report)["ambiguous"] == ["a dog in the jungle-0.png"]
    assert "fits 2 prompts (dog, dog2): put it into a folder named after" in words(report)
    assert set(answered(report)) == {("dog2", 0, 0)}


def test_an_index_outside_a_subjects_folder_is_ambiguous_unless_there_is_one_subject(
    tmp_path: Path,
) -> None:
    draw(tmp_path / "0-0.png")
    assert "fits 3 prompts (dog, dog2, vase)" in words(report_on(tmp_path))
    assert set(answered(report_on(tmp_path, asked(["vase"])))) == {("vase", 0, 0)}


def test_a_text_that_one_subject_is_asked_twice_needs_an_index(tmp_path: Path) -> None:
    twice = [replace(case, prompt="a vase!") for case in asked(["vase"])]
    draw(tmp_path / "vase" / "a vase-0.png")
    report = report_on(tmp_path, tuple(twice))
    assert "ambiguous vase/a vase-0.png: fits 2 prompts (vase): name it <prompt" in words(report)


def test_two_files_for_one_case_are_a_duplicate_and_neither_is_used(folder: Path) -> None:
    draw(folder / "dog" / "00-0.jpg")
    draw(folder / "a vase in the jungle-1.png")
    report = report_on(folder)
    assert faults(report) == {"duplicate": ["dog/00-0.png", "vase/00-1.png"]}
    assert "answered by dog/0-0.png, dog/00-0.jpg" in words(report)
    assert "2 have several files: mend this, or score the 10 that" in report.sentence


def test_hidden_files_and_files_that_are_no_images_are_not_looked_at(folder: Path) -> None:
    for name in ("grid.pdf", "dog/notes.txt", ".DS_Store", "dog/._0-0.png", ".cache/dog/0-0.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("anything")
    assert report_on(folder).faults == ()


def test_images_that_answer_no_case_are_surplus_and_it_is_said_why(folder: Path) -> None:
    expected = {
        "grid.png": "not named",
        "a/b/0-0.png": "not named",
        "dog/final.jpg": "not named",
        "dgo/0-0.png": "there is no subject 'dgo'",
        "dog/7-0.png": "there is no prompt '7'",
        "dog/a cat-0.png": "there is no prompt 'a cat'",
        "dog/0-9.png": "nobody asks for seed 9",
    }
    for name in expected:
        draw(folder / name)
    report = report_on(folder)
    assert report.blocking == () and set(faults(report)) == {"surplus"}
    assert {f.where for f in report.noted} == set(expected)
    for fault in report.noted:
        assert fault.words.startswith(expected[fault.where])


def test_linked_folders_are_followed_but_not_in_circles(folder: Path, tmp_path: Path) -> None:
    (folder / "dog").rename(tmp_path / "elsewhere")
    (folder / "dog").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    assert report_on(folder).blocking == ()


def test_other_seeds_all_over_are_taken_in_order(tmp_path: Path) -> None:
    for case in asked(seeds=range(4)):
        draw(tmp_path / named(case, case.seed + 42))
    report = report_on(tmp_path, asked(seeds=range(4)))
    assert "seeds 42, 43, 44, 45 are taken for 0, 1, 2, 3" in words(report)
    assert set(faults(report)) == {"renumbered"} and len(report.images) == 24
    assert answered(report)["dog2", 1, 3] == "1-45.png"


def test_one_missing_image_does_not_shift_the_other_seeds(tmp_path: Path) -> None:
    for case in CASES[1:]:
        draw(tmp_path / named(case, case.seed + 42))
    report = report_on(tmp_path)
    assert set(faults(report)) == {"missing", "renumbered"}
    assert answered(report)["dog", 0, 1] == "0-43.png"


def test_seeds_of_each_prompts_own_are_taken_in_order(tmp_path: Path) -> None:
    for number, case in enumerate(CASES):
        draw(tmp_path / named(case, 100 + 7 * number))
    report = report_on(tmp_path)
    assert faults(report) == {"renumbered": [str(tmp_path)]}
    assert "each prompt's seeds are taken in their order" in words(report)
    assert answered(report)["dog", 1, 0] == "1-114.png"


def test_too_many_seeds_are_surplus_and_keep_their_numbers(folder: Path) -> None:
    report = report_on(folder, asked(seeds=[0]))
    assert report.blocking == () and len(faults(report)["surplus"]) == 6
    assert all(seed == 0 for _, _, seed in answered(report))


def test_a_manifest_names_prompts_by_index_or_text(folder: Path) -> None:
    lines = ["image,subject,prompt,seed"]
    lines += [f"images/{named(c)},{c.subject},{c.prompt_index},{c.seed}" for c in CASES[:6]]
    lines += [f'images/{named(c)},{c.subject},"{c.prompt}",{c.seed}' for c in CASES[6:]]
    manifest = folder.parent / "list.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")  # as spreadsheets do
    assert report_on(manifest).images == report_on(folder).images


def test_a_manifest_that_names_a_file_that_is_not_there(folder: Path) -> None:
    manifest = write_manifest(folder.parent / "list.jsonl", map(row, CASES))
    (folder / named(CASES[0])).unlink()
    report = report_on(manifest)
    assert faults(report) == {"missing": ["dog/00-0.png"]}
    assert "there is no images/dog/0-0.png" in words(report)


@settings(deadline=None, max_examples=40)
@given(rows=st.permutations(range(len(CASES))), lost=st.integers(0, len(CASES) - 1))
def test_the_order_of_files_changes_nothing(rows: list[int], lost: int) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place)
        for case in CASES[lost:]:
            draw(folder / "images" / named(case), size=(8, 8 + case.seed))
        listed = write_manifest(folder / "list.jsonl", map(row, CASES))
        expected = report_on(listed)
        write_manifest(listed, (row(CASES[number]) for number in rows))
        assert report_on(listed) == expected
        assert len(expected.images) == len(CASES) - lost


@settings(deadline=None, max_examples=40)
@given(lost=st.sets(st.sampled_from(CASES)))
def test_every_removed_file_is_one_missing_case(lost: set[Case]) -> None:
    with TemporaryDirectory() as place:
        for case in set(CASES) - lost:
            draw(Path(place) / case.file)
        report = report_on(Path(place))
    assert faults(report).get("missing", []) == sorted(case.file for case in lost)
    assert {fault.kind for fault in report.faults} <= {"missing"}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def text(path: Path) -> None:
    path.write_text("a portrait of a dog\n")


def twice(path: Path) -> None:
    draw(path.with_suffix(".jpg"))


def copied(path: Path) -> None:
    path.write_bytes((path.parent / "0-0.png").read_bytes())


def cmyk(path: Path) -> None:
    draw(path.with_suffix(".jpg"), mode="CMYK").replace(path)


def sixteen_bits(path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(path)


def moving(path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


PLANTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "dog/0-1.png": (cut, "unreadable dog/0-1.png: it is cut off"),
    "dog/1-0.png": (Path.unlink, "missing dog/01-0.png: no file for it"),
    "dog/1-1.png": (text, "unreadable dog/1-1.png: it is no PNG"),
    "dog2/0-0.png": (twice, "duplicate dog2/00-0.png: answered by dog2/0-0.jpg, dog2/0-0.png"),
    "dog2/0-1.png": (lambda path: draw(path, size=(9, 8)), "size dog2/0-1.png: 9 x 8 px, most"),
    "dog2/1-0.png": (lambda path: draw(path, mode="RGBA"), "alpha dog2/1-0.png: transparency"),
    "dog2/1-1.png": (cmyk, "mode dog2/1-1.png: CMYK, turned into RGB"),
    "vase/0-1.png": (
        copied,
        "identical vase/0-0.png: the same bytes answer vase/00-0.png, vase/00",
    ),
    "vase/1-0.png": (sixteen_bits, "mode vase/1-0.png: 16-bit grey, scaled"),
    "vase/1-1.png": (moving, "frames vase/1-1.png: the first of 2 frames counts"),
}


def test_every_planted_fault_is_named_in_one_report(folder: Path) -> None:
    for name, (plant, _) in PLANTED.items():
        plant(folder / name)
    draw(folder / "grid.png")
    report = report_on(folder)
    for _, expected in PLANTED.values():
        assert expected in words(report)
    assert len(report.faults) == len(PLANTED) + 1  # and the surplus grid
    assert len(report.images) == 8
    assert report.sentence == (
        f"Of 12 images asked for in {folder}, 1 is missing, 2 cannot be read and 1 has several "
        "files: mend this, or score the 8 that are in order with --allow-partial."
    )
    console = Console(width=200)
    with console.capture() as shown:
        console.print(report.table())
    for fault in report.faults:
        assert fault.where in shown.get() and fault.words in shown.get()


def test_grey_of_one_kind_or_another_is_noted(folder: Path) -> None:
    for name, mode in (("0-0", "L"), ("0-1", "1"), ("1-0", "LA"), ("1-1", "P")):
        draw(folder / "vase" / f"{name}.png", mode=mode)
    report = report_on(folder)
    assert faults(report)["mode"] == [f"vase/{name}.png" for name in ("0-0", "0-1", "1-0", "1-1")]
    assert report.blocking == () and "; noted: alpha 1, mode 4." in report.sentence


def test_a_folder_of_another_size_altogether_is_not_odd(tmp_path: Path) -> None:
    for case in CASES:
        draw(tmp_path / named(case), size=(16, 4))
    assert report_on(tmp_path).faults == ()


def test_checking_tells_how_far_it_has_come(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    check(index(folder, CASES), lambda _, done, total: told.append((done, total)))
    assert told == [(done, 12) for done in range(1, 13)]
