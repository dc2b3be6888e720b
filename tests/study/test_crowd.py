"""To a crowd platform and back."""

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from bench.errors import UserError
from bench.study.analysis import analyse
from bench.study.crowd import export
from bench.study.crowd_results import import_results
from tests.study.studies import TRIALS, prefers_red

URL = "https://example.org/study"
Record = dict[str, str]


@pytest.fixture
def exported(study: Path, tmp_path: Path) -> Path:
    assert export(study, tmp_path / "crowd", 4, URL) == TRIALS
    return tmp_path / "crowd"


def tasks(folder: Path) -> list[Record]:
    with (folder / "tasks.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def flat(name: str, side: str) -> Record:
    return {f"Answer.{name}": side}


def by_side(name: str, side: str) -> Record:
    return {f"Answer.{name}.{one}": str(one == side).lower() for one in ("left", "equal", "right")}


def worked(
    folder: Path, spelled: Callable[[str, str], Record], workers: Sequence[str] = "WXYZ"
) -> Path:
    """The platform's file after workers who like red."""
    records = []
    for worker, task in zip(workers, tasks(folder), strict=True):
        record = {f"Input.{name}": value for name, value in task.items()}
        record |= {"WorkerId": worker, "AssignmentStatus": "Submitted"}
        for number in range(1, TRIALS + 1):
            view = {side: task[f"{side}_{number}"] for side in ("left", "right")}
            side = prefers_red(view, lambda url: read(folder, url))
            for name in ("fidelity", "alignment"):
                record |= spelled(f"{name}_{number}", side)
        records.append(record)
    return written(folder / "results.csv", records)


def read(folder: Path, url: str) -> bytes:
    return (folder / "images" / url.removeprefix(f"{URL}/")).read_bytes()


def written(path: Path, records: list[Record]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)
    return path


def test_every_field_of_the_layout_has_a_column_and_every_image_a_file(exported: Path) -> None:
    layout = (exported / "layout.html").read_text()
    rows = tasks(exported)
    fields = set(re.findall(r"\$\{(\w+)\}", layout))
    assert fields <= rows[0].keys()
    assert len(fields) == 4 * TRIALS
    for row in rows:
        for field in fields:
            if not field.startswith("prompt"):
                assert read(exported, row[field]).startswith(b"\x89PNG")


def test_nothing_that_workers_see_names_a_method_or_noise(exported: Path) -> None:
    for path in exported.rglob("*"):
        if path.is_file():
            assert not re.search(rb"method|noise|swapped", path.read_bytes() + str(path).encode())


def test_prompts_are_safe_to_be_put_into_a_page(exported: Path) -> None:
    assert all("&lt;" in row["prompt_1"] and "<" not in row["prompt_1"] for row in tasks(exported))


def test_references_come_side_by_side(exported: Path) -> None:
    with Image.open(next((exported / "images").glob("*-strip.png"))) as strip:
        assert strip.height == 256
        assert strip.width == 4 * 256


@pytest.mark.parametrize("spelled", [flat, by_side])
def test_what_workers_answered_comes_back_and_again_changes_nothing(
    study: Path, exported: Path, spelled: Callable[[str, str], Record]
) -> None:
    results = worked(exported, spelled)
    assert import_results(study, results) == 4
    told = analyse(study)
    assert (told.raters, told.excluded, told.answered) == (4, 0, 4 * TRIALS)
    assert {one.win.share for one in told.questions} == {1}
    import_results(study, results)
    assert analyse(study) == told


def test_lists_of_one_worker_are_those_of_one_rater_whose_name_is_not_kept(
    study: Path, exported: Path
) -> None:
    import_results(study, worked(exported, flat, workers=["SECRETWORKER"] * 2 + ["Y", "Z"]))
    assert analyse(study).raters == 3
    assert b"SECRETWORKER" not in study.read_bytes()


def changed(results: Path, **fields: str) -> Path:
    with results.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    records[-1] |= fields
    return written(results, records)


def test_rejected_work_does_not_count(study: Path, exported: Path) -> None:
    assert import_results(study, changed(worked(exported, flat), AssignmentStatus="Rejected")) == 3
    assert analyse(study).raters == 3


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"Answer.fidelity_2": ""}, "line 5: there is no answer 'fidelity_2'"),
        ({"Input.trial_1": "other"}, "line 5: this is no list of the study's"),
        ({"Input.trial_2": "other"}, "line 5: this is no list of the study's"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_taken_over(
    study: Path, exported: Path, fields: Record, problem: str
) -> None:
    results = changed(worked(exported, flat), **fields)
    with pytest.raises(UserError, match=problem):
        import_results(study, results)
    with pytest.raises(UserError, match="Nobody has answered"):
        analyse(study)


def test_two_answers_to_one_list_are_refused(study: Path, exported: Path) -> None:
    results = worked(exported, flat)
    import_results(study, results)
    with pytest.raises(UserError, match="line 5: this list was answered before"):
        import_results(study, changed(results, **{"Answer.fidelity_1": "equal"}))


def test_another_table_is_no_result(study: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other.csv", [{"WorkerId": "W"}])
    with pytest.raises(UserError, match=r"has no column Input\.trial_1"):
        import_results(study, other)
