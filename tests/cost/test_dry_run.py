"""A dry run says what is done, what is left and what that takes, and touches nothing."""

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from bench.cost.devices import Device, processor
from bench.cost.dry_run import describe, describe_all
from bench.cost.facts import MINI
from bench.cost.throughput import Speed, remember
from bench.plan import Plan, Request, make_plan
from tests.cost.dry_runs import at_home, contents, finished, plan_of, run_of, world

__all__ = ["finished", "world"]
H100 = Device("H100", 80e9)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """A place where nothing was ever run."""
    with at_home(tmp_path):
        yield tmp_path


def dreambench(
    method: str,
    backbone: str,
    guidance: str | None = None,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    return make_plan(
        Request(
            method=method,
            suite="dreambench",
            backbone=backbone,
            guidance=guidance,
            options=dict(options),
        )
    )


def speed(kind: Any, name: str, **seconds: float) -> Speed:
    return Speed(
        kind=kind,
        name=name,
        digest="",
        device=processor().name,
        dtype="float32",
        date=date(2026, 1, 2),
        seconds=seconds,
    )


MEASURED = (
    speed("backbone", "mini", alone=1.0, seeing=2.0, training=3.0, beside=0.5),
    speed("encoder", "mini-dino", image=0.25),
    speed("encoder", "mini-clip", image=0.5),
)
"""Of a machine that is so slow that its figures can be told by heart."""


def test_everything_is_left_of_a_run_that_was_never_begun(fresh: Path) -> None:
    told = describe(plan_of("dreambooth"))
    assert told["done"] == {
        "run": None,
        "images": 0,
        "trainings": 0,
        "kept_trainings": 0,
        "kept_pairs": False,
        "kept_features": 0,
        "scored": False,
        "another_run": False,
    }
    assert told["left"] == {"trainings": 2, "pairs": 0, "images": 12, "to_score": 12}
    assert told["pieces"] == {"train": 0, "draw": 2, "look": 2}
    work = told["cost"]["pflop"]
    assert work["answers"] == pytest.approx(12 * 2 * MINI.forward(20, 64) / 1e15, rel=1e-3)
    assert work["training"] == pytest.approx(2 * 3 * 2 * MINI.forward(20, 64) / 1e15, rel=1e-3)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert contents(fresh) == {}


def test_nothing_is_left_of_a_run_that_is_finished(world: Path) -> None:
    before = contents(world)
    told = describe(plan_of("dreambooth"))
    assert set(told["left"].values()) == set(told["pieces"].values()) == {0}
    assert sum(told["cost"]["pflop"].values()) == sum(told["cost"]["disk_gb"].values()) == 0
    assert contents(world) == before


def test_what_is_there_is_left_out_of_what_the_rest_takes(world: Path) -> None:
    plan, images = plan_of("dreambooth"), run_of(world, "dreambooth") / "images"
    whole = describe(plan_of("dreambooth", iterations="1", rank="3"))
    shutil.rmtree(images / "car-001")
    part = describe(plan)
    assert part["left"] == {"trainings": 0, "pairs": 0, "images": 6, "to_score": 12}
    assert part["pieces"] == {"train": 0, "draw": 1, "look": 2}
    half = whole["cost"]["pflop"]["answers"] / 2
    left = {"training": 0, "pairs": 0, "answers": half}
    assert part["cost"]["pflop"] == pytest.approx(left, rel=1e-3)


def test_kept_trainings_and_pairs_are_not_made_again(world: Path) -> None:
    guided = describe(plan_of("dreambooth", guidance="cfg:3"))
    assert guided["left"] == {"trainings": 0, "pairs": 0, "images": 12, "to_score": 12}
    stronger = describe(plan_of("sfo", beta="3"))
    assert stronger["left"] == {"trainings": 1, "pairs": 0, "images": 12, "to_score": 12}
    assert stronger["cost"]["disk_gb"]["pairs"] == 0


def test_time_is_what_was_measured_here(fresh: Path) -> None:
    assert describe(plan_of("dreambooth"))["cost"]["hours"] is None
    remember(MEASURED)
    cost = describe(plan_of("dreambooth"))["cost"]
    training, answers, scores = 2 * 2 * 3.0, 12 * (2 * 1.0 + 0.5), 12 * 0.75
    hours = {"training": training, "pairs": 0.0, "answers": answers, "scores": scores}
    assert cost["hours_of"] == pytest.approx({k: s / 3600 for k, s in hours.items()}, rel=1e-3)
    assert cost["hours"] == pytest.approx(sum(hours.values()) / 3600, rel=1e-3)
    assert cost["wall_hours"] == cost["hours"]
    assert any("measured here on 2026-01-02" in line for line in cost["assumptions"])


def test_subjects_are_trained_and_drawn_by_workers_side_by_side(fresh: Path) -> None:
    remember(MEASURED)
    one, two, many = (
        describe(plan_of("dreambooth"), workers=n)["cost"]["wall_hours"] for n in (1, 2, 9)
    )
    assert two == pytest.approx(one / 2, rel=1e-3) and many == two


def test_a_training_of_a_corpus_is_one_workers(fresh: Path) -> None:
    remember(MEASURED)
    one, many = (describe(plan_of("sfo"), workers=n)["cost"] for n in (1, 9))
    alone = one["hours_of"]["training"] + one["hours_of"]["pairs"]
    drawn = one["hours_of"]["answers"]
    looked = one["hours_of"]["scores"] / 2
    assert many["wall_hours"] == pytest.approx(alone + drawn + looked, rel=1e-3)
    assert many["hours"] == one["hours"] == one["wall_hours"]


@pytest.mark.parametrize(
    ("method", "suite"),
    [
        *[(name, "mini") for name in ("dreambooth", "rpo", "siso", "sfo", "ddpo", "text-only")],
        ("siso-edit", "mini-edit"),
        ("oracle", "mini"),
    ],
)
def test_one_worker_does_all_of_the_work_and_more_do_no_more(
    fresh: Path, method: str, suite: str
) -> None:
    remember(MEASURED)
    plan = make_plan(Request(method=method, suite=suite, limit_subjects=3))
    one, three, many = (describe(plan, workers=n)["cost"] for n in (1, 3, 1000))
    assert one["wall_hours"] == pytest.approx(one["hours"], rel=1e-3)
    assert one["hours"] / 3 <= three["wall_hours"] * 1.001 <= one["wall_hours"] * 1.002
    assert many["wall_hours"] <= three["wall_hours"]


def test_another_device_can_be_asked_for(fresh: Path) -> None:
    cost = describe(dreambench("sfo", "flux-dev"), device=H100)["cost"]
    assert cost["training"]["steps"] == 15_300
    assert cost["pflop"]["answers"] == pytest.approx(3000 * 1.054, rel=0.01)
    assert cost["hours_of"]["answers"] == pytest.approx(2.22, rel=0.01)
    assert cost["hours_of"]["scores"] is None
    assert 24 < cost["memory_gb"] < 80


def test_guidance_is_passes_and_a_backbones_own_is_one_of_them(fresh: Path) -> None:
    def answers(guidance: str | None = None, scale: str | None = None) -> float:
        options = {"guidance": scale} if scale else {}
        told = describe(dreambench("dreambooth", "sd15", guidance, options), device=H100)
        work: float = told["cost"]["pflop"]["answers"]
        return work

    own = answers()
    assert answers("pg") == answers("cfg") == own
    assert answers("cfg+ag") == pytest.approx(own * 3 / 2, rel=1e-3)
    assert answers(scale="1") == own / 2


def test_a_method_that_trains_without_telling_its_cost_is_named(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.methods.textual_inversion import TextualInversion

    monkeypatch.delattr(TextualInversion, "budget")
    plan = make_plan(Request(method="textual-inversion", suite="mini", limit_subjects=2))
    assert describe(plan)["cost"]["training"] == "not known, and not in the figures below"
    assert describe(plan)["left"]["trainings"] == 2
    assert describe_all([(plan, None)])["total"]["not_known"] == ["textual-inversion"]


def test_no_network_means_no_operations(fresh: Path) -> None:
    plan = make_plan(Request(method="oracle", suite="mini", limit_subjects=2))
    told = describe(plan)
    assert told["cost"]["pflop"] == {} and told["cost"]["training"] == "none"
    assert told["memories"] == []


def test_runs_that_differ_in_drawing_alone_train_once_together(fresh: Path) -> None:
    rules = (None, "cfg:3", "pg")
    plans = [plan_of("dreambooth", **({"guidance": rule} if rule else {})) for rule in rules]
    told = describe_all([(plan, None) for plan in plans])
    assert [run["left"]["trainings"] for run in told["runs"]] == [2, 0, 0]
    assert told["total"]["left"] == {"trainings": 2, "pairs": 0, "images": 36, "to_score": 36}
    assert told["total"]["shared"] == 4 and told["total"]["n_runs"] == 3
    alone = describe(plans[0])["cost"]["disk_gb"]["checkpoints"]
    assert told["total"]["disk_gb"]["checkpoints"] == alone


def test_runs_that_differ_in_training_alone_draw_their_pairs_once(fresh: Path) -> None:
    plans = [plan_of("sfo", beta=beta) for beta in ("1", "2")]
    told = describe_all([(plan, None) for plan in plans])
    assert [run["left"]["pairs"] for run in told["runs"]] == [4, 0]
    assert told["total"]["left"]["trainings"] == 2 and told["total"]["shared"] == 1


def test_an_sft_model_is_trained_once_and_draws_its_pairs_once(fresh: Path) -> None:
    sft, *plans = [dreambench("sft-base", "flux-dev")] + [
        dreambench("sfo", "flux-dev", options={"beta": beta}) for beta in ("1", "2")
    ]
    alone = describe(plans[0], device=H100)["cost"]["hours_of"]["training"]
    told = describe_all([(plan, None) for plan in (sft, *plans)], device=H100)
    assert [run["left"]["pairs"] for run in told["runs"]] == [0, 5000, 0]
    assert [run["left"]["trainings"] for run in told["runs"]] == [1, 1, 1]
    first, *others = (run["cost"]["hours_of"]["training"] for run in told["runs"])
    assert first + others[0] == pytest.approx(alone, rel=1e-3) and others[0] == others[1] < first
    assert told["total"]["shared"] == 3


def test_two_suites_are_answered_from_one_training_on_a_corpus(fresh: Path) -> None:
    plans = [make_plan(Request(method="sfo", suite=suite)) for suite in ("mini", "mini-validation")]
    told = describe_all([(plan, None) for plan in plans])
    assert [run["left"]["trainings"] for run in told["runs"]] == [1, 0]
    assert told["total"]["shared"] == 1


@pytest.mark.parametrize(
    "methods", [["dreambooth"], ["sfo", "sfo", "text-only"], ["dreambooth", "sfo", "dreambooth"]]
)
def test_a_sum_is_its_parts_without_what_they_share(fresh: Path, methods: list[str]) -> None:
    plans = [plan_of(method) for method in methods]
    together = describe_all([(plan, None) for plan in plans], device=H100)["total"]
    alone = [describe(plan, device=H100)["cost"] for plan in plans]
    hours = sum(cost["hours"] for cost in alone)
    shared = len(set(methods)) < len(methods)
    assert together["hours"] < hours if shared else together["hours"] == hours
    assert together["memory_gb"] == max(cost["memory_gb"] for cost in alone)
    answers = sum(cost["pflop"]["answers"] for cost in alone)
    assert together["pflop"]["answers"] == pytest.approx(answers, rel=1e-3)
