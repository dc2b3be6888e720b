"""External enters images that are there already: their own pixels, their own identity."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.errors import UserError
from bench.made import specification_of
from bench.methods.external import External, ExternalOptions
from bench.plan import Plan, Request, make_plan
from bench.results import read_measured
from bench.run import execute


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features are not remembered between tests."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """An image per case of ``plan``, each of its own colour."""
    for number, case in enumerate(plan(tmp_path / "images").cases):
        put(tmp_path / "images" / case.file, level=100 + number)
    return tmp_path / "images"


def plan(source: Path) -> Plan:
    """Two seeds of every prompt of the mini suite's first subject."""
    options = {"images": str(source)}
    asked: dict[str, Any] = {"limit_subjects": 1, "seeds": 2, "options": options}
    return make_plan(Request(method="external", suite="mini", **asked))


def put(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(level)).save(path)


def picture(level: int) -> Any:
    """No plain square: every pixel is its own."""
    return (np.arange(40 * 40 * 3).reshape(40, 40, 3) * 7 + level).astype(np.uint8)


def refusal(source: Path, out: Path) -> str:
    with pytest.raises(UserError) as error:
        execute(plan(source), out)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_run_holds_the_same_pixels_and_scores_them(images: Path, tmp_path: Path) -> None:
    folder, result = execute(plan(images), tmp_path / "run")
    for case in plan(images).cases:
        with (
            Image.open(images / case.file) as given,
            Image.open(folder / "images" / case.file) as kept,
        ):
            np.testing.assert_array_equal(np.asarray(kept), np.asarray(given))
    assert (result.method, result.backbone) == ("external", "none")
    assert result.metrics["dino"].n == len(plan(images).cases)
    assert read_measured(folder).result == result


def test_prompts_as_names_and_seeds_of_other_numbers_are_taken_as_scoring_takes_them(
    images: Path, tmp_path: Path
) -> None:
    cases = plan(images).cases
    for number, case in enumerate(cases):
        put(tmp_path / "other" / case.subject / f"{case.prompt}-{42 + case.seed}.png", 100 + number)
    one, _ = execute(plan(images), tmp_path / "one")
    other, _ = execute(plan(tmp_path / "other"), tmp_path / "two")
    for case in cases:
        file = Path("images") / case.file
        assert (other / file).read_bytes() == (one / file).read_bytes()
    events = [json.loads(line) for line in (other / "log.jsonl").read_text().splitlines()]
    [noted] = [event for event in events if event["event"] == "images noted"]
    assert "seeds 42, 43 are taken for 0, 1" in noted["remarks"][0]


def test_other_images_are_another_run(images: Path) -> None:
    def identity() -> str:
        return str(External(None, ExternalOptions(images=images)).inputs["images"])

    before = identity()
    assert identity() == before
    put(images / plan(images).cases[0].file, level=7)
    assert identity() != before


def test_where_the_images_lie_is_no_part_of_the_identity(images: Path, tmp_path: Path) -> None:
    folder, result = execute(plan(images), tmp_path / "run")
    moved = images.rename(tmp_path / "moved")
    assert execute(plan(moved), folder) == (folder, result)
    specification = specification_of(folder)
    assert specification is not None and "images" not in specification["options"]


def test_the_folder_of_a_run_stands_for_its_images(images: Path, tmp_path: Path) -> None:
    run, result = execute(plan(images), tmp_path / "run")
    _, repeated = execute(plan(run), tmp_path / "again")
    assert repeated.metrics == result.metrics


def test_missing_images_are_counted_and_the_first_are_named_before_any_is_taken(
    images: Path, tmp_path: Path
) -> None:
    cases = plan(images).cases
    for case in cases[1:6]:
        (images / case.file).unlink()
    sentence = refusal(images, tmp_path / "run")
    assert sentence.startswith(f"5 of the {len(cases)} images asked for cannot be taken from ")
    assert f"{cases[1].file} (no file for it)" in sentence and "and 2 more" in sentence
    assert not list((tmp_path / "run").glob("images/*/*.png"))


def test_a_cut_off_image_is_named(images: Path, tmp_path: Path) -> None:
    file = images / plan(images).cases[0].file
    file.write_bytes(file.read_bytes()[:-40])
    sentence = refusal(images, tmp_path / "run")
    assert plan(images).cases[0].file in sentence


def test_images_that_nobody_names_are_asked_for() -> None:
    with pytest.raises(UserError, match="say where with --set images=DIR"):
        External(None, ExternalOptions())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no folder .*nothing"):
        External(None, ExternalOptions(images=tmp_path / "nothing"))
