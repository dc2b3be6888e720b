"""Runs shown together: what they share, what they are called, and which are refused."""

from pathlib import Path

import pytest

from bench.errors import UserError
from bench.identity import identity
from bench.report.together import read_together
from tests.report.runs import cases_of, write_run


def test_cases_come_in_the_suites_order_and_only_as_far_as_they_were_answered(
    tmp_path: Path,
) -> None:
    shown = read_together([write_run(tmp_path / "a", "sfo", subjects=2)])
    assert shown.cases == cases_of("mini@1", 2)


def test_every_image_has_its_file_its_digest_and_its_numbers(tmp_path: Path) -> None:
    shown = read_together([write_run(tmp_path / "a", "sfo", subjects=1, seeds=2)])
    [entry] = shown.entries
    for case in shown.cases:
        key = case.subject, case.prompt_index, case.seed
        assert entry.image(case).is_file()
        assert len(entry.digests[key]) == 64
        assert set(entry.values) == {"dino", "clip_t"}
        assert all(key in values for values in entry.values.values())


def test_all_runs_are_held_against_the_first(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / n, n, level) for n, level in (("a", 0.4), ("b", 0.6), ("c", 0.9))]
    shown = read_together(runs)
    assert list(shown.differences) == ["b", "c"]
    assert shown.differences["b"]["dino"].difference == pytest.approx(0.2, abs=0.1)
    assert shown.differences["c"]["dino"].difference == pytest.approx(0.5, abs=0.1)


class TestRefusals:
    def test_a_run_without_images(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "a", "sfo")
        (run / "images").rename(run / "elsewhere")
        with pytest.raises(UserError, match="has numbers but no folder images"):
            read_together([run])

    def test_a_run_that_is_named_twice(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "a", "sfo")
        with pytest.raises(UserError, match="is given twice"):
            read_together([run, run.parent / "." / run.name])

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"suite": "mini-validation@1"}, r"suite differs \(mini-validation@1 and mini@1\)"),
            ({"subjects": 1}, "answer different cases in dino"),
            ({"seeds": 2}, "answer different cases in dino"),
            ({"protocol_identity": identity("other")}, "protocol content differs"),
        ],
    )
    def test_runs_that_do_not_belong_together(
        self, tmp_path: Path, fields: dict[str, object], why: str
    ) -> None:
        runs = [write_run(tmp_path / "a", "a"), write_run(tmp_path / "b", "b", **fields)]  # type: ignore[arg-type]
        with pytest.raises(UserError, match=why):
            read_together(runs)

    def test_a_run_on_another_content_of_the_suite(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "a", "a", suite_identity=identity("other"))
        with pytest.raises(UserError, match="another content of mini@1"):
            read_together([run])
