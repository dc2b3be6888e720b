"""What lets a million cases be planned and resumed, looked at in some thousands of them."""

import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from bench.api import silent
from bench.executors import Told
from bench.pieces import Job, Outcome, Piece
from bench.plan import Plan, make_cases
from bench.store import SHARDS, ImageStore
from bench.workshop import Workshop
from tests.benchmarks.million import (
    PROMPTS,
    SEEDS,
    Enough,
    Scribes,
    carried_out,
    planned,
    write_suite,
)

SUBJECTS = 20
CASES = SUBJECTS * PROMPTS * SEEDS


class Lister(Scribes):
    """Takes all that is to be drawn, and draws nothing."""

    def do(self, pieces: Iterable[Piece], told: Told) -> Iterator[tuple[Piece, Outcome]]:
        waiting = iter(pieces)
        for piece in waiting:
            if piece.kind == "draw":
                self.handed = [piece, *waiting]
                raise Enough
            yield from super().do([piece], told)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    write_suite(tmp_path / "home", SUBJECTS)
    return planned()


def test_a_plan_has_every_case_once_and_subjects_stand_together(plan: Plan) -> None:
    assert len(plan.cases) == len({case.file for case in plan.cases}) == CASES
    assert [case.subject for case in plan.cases] == sorted(case.subject for case in plan.cases)
    assert [case.seed for case in plan.cases[:SEEDS]] == list(range(SEEDS))


def test_a_case_takes_little_memory(plan: Plan) -> None:
    tracemalloc.start()
    cases = make_cases(plan.suite, plan.protocol, plan.suite.subjects, SEEDS)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(cases) < 250


def test_the_identity_of_a_plan_is_told_without_its_cases(plan: Plan) -> None:
    fewer = plan.model_copy(update={"cases": plan.cases[: CASES // 2]})
    assert plan.identity == planned().identity != fewer.identity


def test_who_resumes_is_handed_exactly_what_is_not_listed(plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "run"
    carried_out(plan, out, share=0.5)
    shards = sorted((out / "images" / SHARDS).iterdir())
    shards[3].unlink()
    listed = set(ImageStore(out / "images").digests)
    assert len(listed) == (len(shards) - 1) * 32

    lister = Lister(plan)
    with pytest.raises(Enough):
        Workshop([Job(plan, None, out)], lister, silent).carry_out([0])
    asked = [case.file for piece in lister.handed for case in plan.cases[piece.start : piece.stop]]
    finished = {file for piece in lister.handed for file in piece.finished}
    assert len(asked) == len(set(asked))
    assert set(asked) - finished == {case.file for case in plan.cases} - listed
    assert all(len(piece.finished) < piece.stop - piece.start for piece in lister.handed)


def test_what_is_drawn_in_two_goes_is_gathered_in_the_order_of_the_plan(
    plan: Plan, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    carried_out(plan, out, share=0.3)
    carried_out(plan, out, share=1.0)
    [looked] = carried_out(plan, out).handed
    assert looked.kind == "look" and len(looked.finished) == PROMPTS * SEEDS
    gathered = ImageStore(out / "images")
    assert list(gathered.digests) == [case.file for case in plan.cases]
    assert not (out / "images" / SHARDS).exists()
