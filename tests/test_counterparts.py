"""Images may be held against other images of the same cases, not photographs alone."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import registry
from bench.api import Case
from bench.brought import score_images
from bench.counterparts import find_counterparts
from bench.errors import UserError
from bench.folder import check, index
from bench.gallery import identity_of
from bench.identity import file_digest
from bench.metrics.comparers import PixelComparer
from bench.metrics.cutters import Background, Finding
from bench.metrics.diversity import MseDiversity
from bench.metrics.kid import Kid
from bench.metrics.mini_encoders import mini_dino
from bench.metrics.regions import Grounding, packed, to_vector
from bench.metrics.similarity import cosines, embed
from bench.plan import Request, make_cases, make_plan
from bench.protocols import Against, MetricSpec, Protocol, load_protocol
from bench.results import RunResult, read_measured
from bench.run import execute
from bench.sitting import Drawn, place_of
from bench.suites import ImageFile, Suite, load_suite
from tests.commands import refusal

MINI = load_suite("mini")
SUITE = MINI.model_copy(update={"subjects": MINI.subjects[:3]})
HEADLINE = load_protocol(MINI)
CASES = make_cases(SUITE, HEADLINE, SUITE.subjects, 1)
GREEN = np.array([0, 255, 0], np.uint8)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def asking(*specs: MetricSpec) -> Protocol:
    return HEADLINE.model_copy(update={"metrics": specs})


def kid(against: Against = "vanilla") -> MetricSpec:
    return MetricSpec(metric="kid", encoder="mini-dino", against=against)


def draw(folder: Path, seed: int, cases: Sequence[Case] = CASES) -> Path:
    """Noise in answer to every case."""
    rng = np.random.default_rng(seed)
    for case in cases:
        path = folder / case.file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(path)
    return folder


def pictures(folder: Path) -> list[Image.Image]:
    return [Image.open(folder / case.file) for case in CASES]


def scored(protocol: Protocol, images: Path, vanilla: Path | None, out: str = "out") -> RunResult:
    drawn = check(index(images, CASES)).images
    made = score_images(SUITE, protocol, protocol, drawn, "mine", False, Path(out), vanilla=vanilla)
    return made[1]


def test_a_set_is_held_against_the_vanilla_images(tmp_path: Path) -> None:
    images, vanilla = draw(tmp_path / "images", 1), draw(tmp_path / "vanilla", 2)
    told = scored(asking(kid()), images, vanilla).metrics["kid"]
    assert told.mean == pytest.approx(Kid(mini_dino())(pictures(images), pictures(vanilla)))
    assert (told.n, told.n_real, told.references) == (18, 18, "none")


def test_a_subject_is_left_out_of_both_sets(tmp_path: Path) -> None:
    images, vanilla = draw(tmp_path / "images", 1), draw(tmp_path / "vanilla", 2)
    scored(asking(kid()), images, vanilla)
    rows = {row.subject: row.value for row in read_measured(tmp_path / "out").rows}
    kept = slice(len(CASES) // 3, None)
    expected = Kid(mini_dino())(pictures(images)[kept], pictures(vanilla)[kept])
    assert rows[CASES[0].subject] == pytest.approx(expected)


def test_vanilla_images_that_are_alike_count_each(tmp_path: Path) -> None:
    images, vanilla = draw(tmp_path / "images", 1), draw(tmp_path / "vanilla", 2)
    for case in CASES[1:3]:
        shutil.copyfile(vanilla / CASES[0].file, vanilla / case.file)
    told = scored(asking(kid()), images, vanilla).metrics["kid"]
    assert told.n_real == 18
    assert told.mean == pytest.approx(Kid(mini_dino())(pictures(images), pictures(vanilla)))


def test_an_image_is_held_against_that_of_its_own_case(tmp_path: Path) -> None:
    images, vanilla = draw(tmp_path / "images", 1), draw(tmp_path / "vanilla", 2)
    apart = MetricSpec(metric="diversity_mse", encoder="pixels", against="vanilla")
    near = MetricSpec(metric="dino", encoder="mini-dino", against="vanilla")
    scored(asking(apart, near), images, vanilla)
    kept, distance = read_measured(tmp_path / "out"), MseDiversity(PixelComparer())
    for case, one, other in zip(CASES, pictures(images), pictures(vanilla), strict=True):
        place = place_of(case)
        assert kept.values("diversity_mse")[place] == pytest.approx(distance([one], [other])[0])
        alike = cosines(embed(mini_dino(), [one]), embed(mini_dino(), [other])).item()
        assert kept.values("dino")[place] == pytest.approx(alike, abs=1e-6)


def test_a_number_names_the_images_that_it_is_held_against(tmp_path: Path) -> None:
    images, vanilla = draw(tmp_path / "images", 1), draw(tmp_path / "vanilla", 2)
    first = scored(asking(kid()), images, vanilla)
    told = first.metrics["kid"]
    pictures_by_case = find_counterparts(SUITE, asking(kid()), CASES, vanilla)["vanilla"]
    assert told.against_digest == identity_of(pictures_by_case.values())
    assert f"against vanilla {told.against_digest[:12]}; n = 18 images" in first.citations[0]
    draw(vanilla, 3, CASES[:1])
    second = scored(asking(kid()), images, vanilla, "other")
    assert first.identity != second.identity
    assert told.definition != second.metrics["kid"].definition


def test_another_suites_definition_has_as_many_parts(tmp_path: Path) -> None:
    """Two numbers are compared part by part."""
    images, vanilla = draw(tmp_path / "images", 1), draw(tmp_path / "vanilla", 2)
    plain = scored(asking(kid("references")), images, None, "plain").metrics["kid"]
    told = scored(asking(kid()), images, vanilla).metrics["kid"]
    assert "references all" in plain.definition and plain.against_digest is None
    assert len(plain.definition) == len(told.definition)


def test_nothing_without_the_subject_is_brought_in_vain(tmp_path: Path) -> None:
    vanilla = draw(tmp_path / "vanilla", 2)
    with pytest.raises(UserError, match=r"--vanilla DIR.*bench run --method text-only --suite min"):
        find_counterparts(SUITE, asking(kid()), CASES)
    with pytest.raises(UserError, match=r"No metric .* leave out --vanilla"):
        find_counterparts(SUITE, HEADLINE, CASES, vanilla)


def test_every_case_has_its_vanilla_image(tmp_path: Path) -> None:
    vanilla = draw(tmp_path / "vanilla", 2)
    (vanilla / CASES[4].file).unlink()
    with pytest.raises(UserError, match=rf"Of 18 images .* 1 are missing .*{CASES[4].file} is"):
        find_counterparts(SUITE, asking(kid()), CASES, vanilla)
    assert find_counterparts(SUITE, asking(kid()), CASES[:4], vanilla)


def run(method: str, out: Path, protocol: Protocol, vanilla: Path | None = None) -> RunResult:
    plan = make_plan(Request(method=method, suite="mini", limit_subjects=3))
    return execute(plan.model_copy(update={"protocol": protocol}), out, vanilla=vanilla)[1]


def test_a_run_is_another_one_with_other_vanilla_images(tmp_path: Path) -> None:
    vanilla, out = draw(tmp_path / "vanilla", 2), tmp_path / "run"
    with pytest.raises(UserError, match="add '--vanilla DIR'"):
        run("noise", out, asking(kid()))
    assert not out.exists()
    told = run("noise", out, asking(kid()), vanilla)
    assert told.options["vanilla"] == told.metrics["kid"].against_digest
    assert run("noise", out, asking(kid()), vanilla) == told
    draw(vanilla, 3, CASES[:1])
    with pytest.raises(UserError, match=r"holds another run .*vanilla: "):
        run("noise", out, asking(kid()), vanilla)


def test_a_run_of_another_method_is_not_vanilla(tmp_path: Path) -> None:
    run("noise", tmp_path / "noise", HEADLINE)
    with pytest.raises(UserError, match="is a run of 'noise', and --vanilla takes one of 'text-on"):
        find_counterparts(SUITE, asking(kid()), CASES, tmp_path / "noise")


def test_the_folder_of_a_run_is_as_good_as_its_images(tmp_path: Path) -> None:
    vanilla = tmp_path / "text-only"
    plan = make_plan(
        Request(method="text-only", suite="mini", limit_subjects=3, options={"steps": "1"})
    )
    execute(plan, vanilla)
    by_run = find_counterparts(SUITE, asking(kid()), CASES, vanilla, "mini")
    assert by_run == find_counterparts(SUITE, asking(kid()), CASES, vanilla / "images")
    with pytest.raises(UserError, match=r"was drawn by mini, .* images of sana: make them with"):
        find_counterparts(SUITE, asking(kid()), CASES, vanilla, "sana")


def test_the_command_asks_for_vanilla_images_before_all_else(home: Path) -> None:
    siso = ("--suite", "imagenhub-generation", "--protocol", "siso")
    words = "siso@2 holds images against those that the same backbone makes without the subject"
    assert words in refusal("score", "--images", "nowhere", *siso, home=home)
    assert words in refusal("run", "--method", "noise", *siso, home=home)
    photographs = ("score", "--photographs", "--suite", "mini", "--vanilla", "anywhere")
    assert "leave out --vanilla" in refusal(*photographs, home=home)


asked: list[str] = []
"""Nouns that were looked for."""


def find_greens(images: Sequence[Image.Image], nouns: Sequence[str]) -> list[Finding]:
    asked.extend(nouns)
    box = to_vector(Grounding((0, 0, 1, 1), 1.0)).view(np.uint8)
    masks = [(np.asarray(image) == GREEN).all(axis=2) for image in images]
    return [np.concatenate([box, packed(mask)]) for mask in masks]


def greens() -> Background:
    """Hides backgrounds' subjects as ever, and finds what is purely green without any weights."""
    cutter = object.__new__(Background)
    cutter.findings = cutter.recipe = "greens"
    cutter.find = find_greens
    return cutter


def scene(background: int, left: int) -> Image.Image:
    """A grey frame of 512 x 512 with a green square, its left edge as said."""
    frame = np.full((512, 512, 3), background, np.uint8)
    frame[100:200, left : left + 100] = GREEN
    return Image.fromarray(frame)


@pytest.fixture
def edits(tmp_path: Path, home: Path) -> tuple[Suite, list[Drawn]]:
    """Two images to be edited and their edits: one moves the square, one the light as well."""
    folder = home / "data" / SUITE.name / "cup"
    folder.mkdir(parents=True)
    drawn, files = [], []
    for number, background in enumerate((80, 131)):
        scene(80, 100).save(folder / f"{number:02d}", "PNG")
        path = tmp_path / f"{number}.png"
        scene(background, 150).save(path)
        drawn.append((CASES[number], path, str(number)))
        digest = file_digest(folder / f"{number:02d}")
        files.append(ImageFile(path=f"cup/{number:02d}", sha256=digest, bytes=1))
    photographed = {"source": "files", "sources": {CASES[0].subject: tuple(files)}}
    return SUITE.model_copy(update=photographed), drawn


def test_the_subject_is_hidden_in_both_where_backgrounds_are_held_against_each_other(
    edits: tuple[Suite, list[Drawn]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    suite, drawn = edits
    monkeypatch.setitem(registry.BUILT_IN, "region", {"background": f"{__name__}:greens"})
    asked.clear()
    common: dict[str, Any] = {"metric": "diversity_mse", "encoder": "pixels", "against": "sources"}
    protocol = asking(
        MetricSpec(**common, region="background", name="background"),
        MetricSpec(**common, name="whole"),
    )
    _, told = score_images(suite, protocol, protocol, drawn, "edits", True, tmp_path / "out")
    kept = read_measured(tmp_path / "out")
    moved, lit = (place_of(case) for case, _, _ in drawn)
    assert kept.values("background")[moved] == 0 < kept.values("whole")[moved]
    share = 1 - 150 * 100 / 512**2
    assert kept.values("background")[lit] == pytest.approx(share * (51 / 255) ** 2)
    # Both images to be edited are the same file.
    assert asked == [suite.subjects[0].class_noun] * 3
    # Which images these are is the suite's to say, also where some are missing.
    assert "; against sources; n = 2 images" in told.citations[1]


def test_a_suite_without_images_to_be_edited_says_so() -> None:
    with pytest.raises(UserError, match="mini@1 has no images to be edited"):
        find_counterparts(SUITE, asking(kid("sources")), CASES)


def test_sources_are_those_of_the_case(edits: tuple[Suite, list[Drawn]]) -> None:
    suite, drawn = edits
    case = drawn[1][0]
    found = find_counterparts(suite, asking(kid("sources")), [case])["sources"]
    picture = found[place_of(case)]
    assert suite.sources is not None
    assert picture.digest == suite.sources[case.subject][1].sha256
    assert replace(picture, noun="").noun != picture.noun == suite.subjects[0].class_noun
