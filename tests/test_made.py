"""The folder of a run says how its images came, also to those who score them again."""

import json
from pathlib import Path

import pytest

from bench.api import Case
from bench.brought import Scored, score_images
from bench.errors import UserError
from bench.folder import check, index
from bench.made import MANIFEST, images_of, shown_by, specification_of
from bench.plan import Request, make_cases, make_plan
from bench.protocols import Protocol, load_protocol
from bench.results import read_measured
from bench.run import execute
from bench.sitting import Shown, not_shown
from bench.suites import load_suite
from tests.commands import bench_json

MINI = load_suite("mini")
HEADLINE = load_protocol(MINI)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def oracle(tmp_path: Path) -> Path:
    plan = make_plan(Request(method="oracle", suite="mini", limit_subjects=3))
    return execute(plan, tmp_path / "oracle")[0]


def cases(protocol: Protocol = HEADLINE) -> tuple[Case, ...]:
    return make_cases(MINI, protocol, MINI.subjects[:3], 1)


def scored(run: Path, shown: Shown, out: Path) -> Scored:
    drawn = check(index(images_of(run), cases())).images
    return score_images(MINI, HEADLINE, HEADLINE, drawn, "oracle", True, out, shown=shown)


def test_an_oracles_images_score_as_its_run_did(oracle: Path, tmp_path: Path) -> None:
    leaving_out = scored(oracle, shown_by(oracle, MINI), tmp_path / "again")
    with_itself = scored(oracle, not_shown, tmp_path / "naive")
    assert read_measured(leaving_out[0]).rows == read_measured(oracle).rows
    assert with_itself[1].metrics["dino"].mean > leaving_out[1].metrics["dino"].mean
    assert with_itself[1].identity != leaving_out[1].identity


def test_the_command_takes_a_run_for_its_images(oracle: Path, home: Path, tmp_path: Path) -> None:
    for name, source in {"run": oracle, "images": oracle / "images"}.items():
        told = bench_json(
            *("score", "--images", source, "--suite", "mini", "--allow-partial"),
            *("--out", tmp_path / name, "--protocol", "all" if name == "run" else "headline"),
            home=home,
        )
        assert told["images"]["usable"] == 18
    rows = read_measured(oracle).rows
    assert read_measured(tmp_path / "run" / "headline@1").rows == rows
    assert read_measured(tmp_path / "images").rows == rows


def test_what_was_shown_is_what_was_asked_for_then(oracle: Path) -> None:
    """Another protocol may give another photograph; the images stay those of the run."""
    inputs = dict.fromkeys(HEADLINE.input_references, "03.png")
    other = HEADLINE.model_copy(update={"input_references": inputs})
    shown = shown_by(oracle, MINI)
    told = [shown(case) for case in cases()]
    assert told == [shown(case) for case in cases(other)]
    assert "03.png" in told and "00.png" not in told


def test_images_of_unknown_origin_show_no_photograph(oracle: Path, tmp_path: Path) -> None:
    (oracle / MANIFEST).write_text("{")
    assert specification_of(oracle) is None
    assert shown_by(oracle, MINI)(cases()[0]) is None
    assert shown_by(tmp_path, MINI)(cases()[0]) is None
    assert images_of(tmp_path) == tmp_path


def test_a_run_of_another_revision_is_made_again(oracle: Path) -> None:
    manifest = json.loads((oracle / MANIFEST).read_text())
    manifest["specification"]["method_revision"] += 1
    (oracle / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="another revision of 'oracle'"):
        shown_by(oracle, MINI)


def test_a_run_on_another_suite_or_of_a_method_from_elsewhere_shows_none(oracle: Path) -> None:
    assert shown_by(oracle, load_suite("mini-validation"))(cases()[0]) is None
    manifest = json.loads((oracle / MANIFEST).read_text())
    manifest["specification"]["method"] = "not-here"
    (oracle / MANIFEST).write_text(json.dumps(manifest))
    assert shown_by(oracle, MINI)(cases()[0]) is None
