"""A report says what is wrong in a sentence, a table of bounded length, and JSON."""

import json
from pathlib import Path

from rich.console import Console

from bench.api import Case
from bench.faults import Fault, Kind, Report, in_order

CASE = Case(
    suite="toys@1",
    subject="dog",
    prompt_index=0,
    prompt="a dog",
    name="dog",
    reference="00.jpg",
    seed=0,
)
IMAGE = (CASE, Path("out/dog/00-0.png"), "0" * 64)


def report(*faults: tuple[Kind, str, str], images: int = 1) -> Report:
    found = in_order(Fault(kind=kind, where=where, words=words) for kind, where, words in faults)
    return Report(source="out", asked=100, images=(IMAGE,) * images, faults=found)


def shown(report: Report) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(report.table())
    return capture.get()


def test_faults_are_told_by_kind_the_blocking_ones_first() -> None:
    said = report(
        ("alpha", "a", ""), ("missing", "c", ""), ("surplus", "b", ""), ("missing", "b", "")
    )
    assert [(f.kind, f.where) for f in said.blocking] == [("missing", "b"), ("missing", "c")]
    assert [(f.kind, f.where) for f in said.noted] == [("surplus", "b"), ("alpha", "a")]


def test_one_and_several_are_said_differently() -> None:
    one = report(("missing", "a", ""), ("ambiguous", "b", "")).sentence
    assert "1 is missing and 1 is in doubt: mend this, or score the 1 that" in one
    several = report(("missing", "a", ""), ("missing", "b", "")).sentence
    assert "Of 100 images asked for in out, 2 are missing: mend this" in several


def test_remarks_alone_leave_a_folder_complete() -> None:
    assert report(("alpha", "a", ""), ("size", "b", "")).sentence == (
        "All 100 images asked for are in out; noted: size 1, alpha 1."
    )


def test_a_folder_with_nothing_of_use_is_told_how_images_are_named() -> None:
    sentence = report(("missing", "a", ""), images=0).sentence
    assert "None of the 100" in sentence and "<subject>/<prompt index>-<seed>.png" in sentence
    assert "--allow-partial" not in sentence


def test_many_missing_images_are_counted_by_subject() -> None:
    missing: list[tuple[Kind, str, str]] = [
        ("missing", f"toy{subject}/{prompt:02d}-0.png", "no file for it")
        for subject in range(12)
        for prompt in range(8)
    ]
    table = shown(report(*missing))
    assert "96" in table and "8 of its images" in table and "and 2 more subjects" in table
    assert "00-0.png" not in table and len(table.splitlines()) < 20


def test_ten_faults_of_a_kind_are_shown_and_the_rest_counted() -> None:
    table = shown(report(*[("alpha", f"[red]{n:02d}.png", "on white") for n in range(25)]))
    assert "[red]09.png" in table and "[red]10.png" not in table and "and 15 more" in table


def test_json_holds_every_fault() -> None:
    said = report(*[("alpha", f"{n}.png", "on white") for n in range(25)], ("missing", "a", "gone"))
    document = json.loads(json.dumps(said.as_json()))
    assert len(document["noted"]) == 25
    assert document["blocking"] == [{"kind": "missing", "where": "a", "words": "gone"}]
    assert (document["source"], document["asked"], document["usable"]) == ("out", 100, 1)
