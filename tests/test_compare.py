"""Two runs compared on the same questions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.compare import compare
from bench.errors import UserError
from bench.identity import identity
from bench.results import read_measured

MakeRun = Callable[..., Path]


def test_the_difference_is_a_minus_b_for_every_metric(make_run: MakeRun) -> None:
    told = compare(make_run("sfo", level=0.6), make_run("sft-base", level=0.5))
    assert list(told) == ["dino", "clip_t"]
    for one in told.values():
        assert one.difference == pytest.approx(0.1, abs=0.01)
        assert one.separable
        assert (one.n_subjects, one.n) == (8, 24)


def test_the_difference_is_that_of_the_two_means(make_run: MakeRun) -> None:
    a, b = make_run("sfo", level=0.6), make_run("sft-base")
    means = [read_measured(run).result.metrics["dino"].mean for run in (a, b)]
    assert compare(a, b)["dino"].difference == pytest.approx(means[0] - means[1])


def test_one_metric_can_be_asked_for(make_run: MakeRun) -> None:
    assert list(compare(make_run("sfo"), make_run("sft-base"), "clip_t")) == ["clip_t"]


def test_a_run_does_not_differ_from_itself(make_run: MakeRun) -> None:
    run = make_run("sfo")
    told = compare(run, run, "dino")["dino"]
    assert (told.difference, told.p) == (0, 1)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"suite": "dreambench@1"}, r"suite differs \(mini@1 and dreambench@1\)"),
        ({"suite_identity": identity("x")}, "suite content differs"),
        ({"protocol": "kosmos-g@1"}, "protocol differs"),
        ({"protocol_identity": identity("x")}, "protocol content differs"),
        ({"definition": {"metric_version": 2}}, r"of dino differs \(version 1 and version 2\)"),
        ({"definition": {"encoder": "dino-vits16"}}, "encoder mini-dino and encoder dino-vits16"),
        ({"definition": {"encoder_digest": identity("x")}}, "encoder digest"),
        ({"definition": {"references": "input"}}, "references all and references input"),
    ],
)
def test_runs_with_another_meaning_are_refused_with_the_reason(
    make_run: MakeRun, fields: dict[str, object], what: str
) -> None:
    with pytest.raises(UserError, match=what):
        compare(make_run("sfo"), make_run("other", **fields))


def test_other_options_backbones_and_machines_are_what_comparing_is_for(make_run: MakeRun) -> None:
    other = make_run("other", options={"beta": 1}, backbone="flux-dev", method_revision=7)
    assert compare(make_run("sfo"), other)


def test_missing_cases_are_counted(make_run: MakeRun) -> None:
    with pytest.raises(UserError, match="9 of the first are missing in the second and 0 of the"):
        compare(make_run("sfo"), make_run("partial", subjects=5))


def test_an_unknown_metric_is_named_with_the_nearest(make_run: MakeRun) -> None:
    with pytest.raises(UserError, match="Unknown metric 'clipt': did you mean clip_t"):
        compare(make_run("sfo"), make_run("sft-base"), "clipt")


def test_a_folder_without_rows_is_no_run(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no row\.json: give the folder of a finished run"):
        compare(make_run("sfo"), tmp_path)
