"""What is said of a run before it begins: counts that follow from the plan, figures from sizes."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.cli import app
from bench.cost import estimates
from bench.cost.devices import Device
from bench.cost.estimates import Budget, estimate
from bench.cost.facts import FACTS, MINI
from bench.cost.networks import Flux
from bench.cost.throughput import Speed
from bench.methods.textual_inversion import TextualInversion
from tests.test_cli import HEAVY, modules_after

H100 = Device("NVIDIA H100 80GB HBM3", 80e9)
SFO = Budget(
    steps=300, examples=4800, forwards=19200, backwards=9600, images=5000, encoded=5000, ranks=(16,)
)

ALONE = Budget(steps=100, examples=100, forwards=100, backwards=100, ranks=(4,), alone=True)


def test_sfos_training_takes_its_papers_operations() -> None:
    """About 300 TFLOP a pair: two reference passes and twice forth, again and back."""
    flops = estimate(SFO, 3000, None, "flux-dev", H100).flops
    assert flops is not None
    assert flops["training"] == pytest.approx(4800 * 301e12, rel=0.01)
    assert flops["pairs"] == pytest.approx(5000 * 1.054e15, rel=0.01)
    assert flops["answers"] / flops["pairs"] == pytest.approx(0.6)


def test_time_is_the_operations_at_the_assumed_utilisation() -> None:
    told = estimate(SFO, 0, None, "flux-dev", H100)
    assert told.flops is not None and told.seconds is not None
    assert told.seconds == pytest.approx({w: f / (0.4 * 989e12) for w, f in told.flops.items()})
    fewer = estimate(SFO, 0, 7, "flux-dev", H100).seconds
    assert fewer is not None and fewer["pairs"] == pytest.approx(told.seconds["pairs"] / 4)


@pytest.mark.parametrize("device", [None, Device("Abacus 3000", 1e9)])
def test_without_a_known_device_there_are_operations_but_no_time(device: Device | None) -> None:
    told = estimate(SFO, 3000, None, "flux-dev", device)
    assert told.seconds is None and told.flops and told.memory
    assert any("so no time" in line for line in told.assumptions)


def test_training_flux_fits_one_accelerator_of_80_gb() -> None:
    memory = estimate(SFO, 3000, None, "flux-dev", H100).memory
    assert memory is not None and 24e9 < memory < 80e9
    large = Budget(**{**SFO.__dict__, "together": 64, "on_demand": True})
    more = estimate(large, 3000, None, "flux-dev", H100).memory
    assert more is not None and more > memory + 64 * 57 * 2560 * 3072 * 2


def test_mini_is_estimated_as_any_other() -> None:
    told = estimate(SFO, 3000, None, "mini", Device("Abacus", 1e9, accelerator=False))
    assert told.flops is not None
    assert told.flops["answers"] == pytest.approx(3000 * 20 * MINI.forward(20, 128))
    assert told.disk["answers"] == 3000 * 32 * 32 * estimates.PNG
    assert told.weights == pytest.approx(4 * 3.3e6, rel=0.05)


def test_nothing_is_estimated_of_a_backbone_that_is_not_known() -> None:
    told = estimate(SFO, 1, None, "another", None)
    assert (told.disk, told.flops, told.memory, told.seconds) == ({}, None, None, None)


def test_stable_diffusion_guides_itself_by_a_second_pass() -> None:
    own, plain = (estimate(ALONE, 10, None, "sd15", H100, passes).flops for passes in (None, 1))
    assert own is not None and plain is not None
    assert own["answers"] == 2 * plain["answers"] == pytest.approx(10 * 50 * 2 * 803.3e9, rel=1e-3)
    assert own["training"] == plain["training"] == pytest.approx(3 * 100 * 803.3e9, rel=1e-3)


def test_a_network_that_is_trained_whole_is_kept_whole_with_its_optimiser() -> None:
    whole = replace(ALONE, ranks=(), whole=2)
    told, parameters = estimate(whole, 1, None, "sd15", H100), 859_520_964
    assert told.disk["checkpoints"] == 2 * 4 * 4 * parameters
    assert told.memory == pytest.approx((4 * 4 + 2) * parameters, rel=0.01)


SPEED = Speed(
    kind="backbone",
    name="sd15",
    digest="",
    device="Abacus 3000",
    dtype="float32",
    date=date(2026, 1, 2),
    seconds={"alone": 0.5, "training": 1.5, "beside": 2.0},
    bytes_per_image=1000.0,
)


def test_what_was_measured_here_comes_before_what_is_assumed() -> None:
    told = estimate(ALONE, 10, 4, "sd15", Device("Abacus 3000", 1e9), speed=SPEED)
    assert told.seconds == {
        "training": 100 * 1.5,
        "pairs": 0.0,
        "answers": 10 * (4 * 2 * 0.5 + 2.0),
    }
    assert told.disk["answers"] == 10_000
    assert "measured here on 2026-01-02 (Abacus 3000, float32)" in " ".join(told.assumptions)


@given(st.integers(0, 10_000), st.integers(1, 1000), st.sampled_from(sorted(FACTS)))
def test_more_images_never_cost_less(images: int, more: int, backbone: str) -> None:
    few, many = (estimate(SFO, n, None, backbone, H100) for n in (images, images + more))
    assert many.disk["answers"] > few.disk["answers"]
    assert few.flops is not None and many.flops is not None
    assert many.flops["answers"] > few.flops["answers"]
    assert many.flops["training"] == few.flops["training"]
    assert many.memory == few.memory


def test_budgets_add_up() -> None:
    sft = Budget(steps=10, on_demand=True, ranks=(4,), together=8)
    both = sft + Budget(steps=5, images=3, ranks=(16,), together=2)
    assert both == Budget(steps=15, images=3, on_demand=True, ranks=(4, 16), together=8)


def test_subjects_are_trained_one_after_another() -> None:
    each = Budget(steps=5, images=3, ranks=(16,), together=2, on_demand=True, alone=True)
    three = Budget(steps=15, images=9, ranks=(16, 16, 16), together=2, on_demand=True, alone=True)
    assert each.times(3) == three


def test_without_a_reference_less_is_seen() -> None:
    alone = Budget(**{**SFO.__dict__, "alone": True})
    less, more = (estimate(budget, 1, None, "flux-dev", H100).flops for budget in (alone, SFO))
    assert less is not None and more is not None
    ratio = Flux().forward(512, 1024) / Flux().forward(512, 2048)
    assert {name: less[name] / more[name] for name in less} == pytest.approx(
        dict.fromkeys(less, ratio)
    )


def test_guidance_costs_a_pass_for_everything_that_it_asks() -> None:
    once = estimate(SFO, 3000, None, "flux-dev", H100).flops
    twice = estimate(SFO, 3000, None, "flux-dev", H100, passes=2).flops
    assert once is not None and twice is not None
    assert twice == {**once, "answers": 2 * once["answers"]}


@pytest.fixture
def dry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``dry(*arguments)``: what a dry run prints, in an empty home."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["run", "--dry-run", *arguments])
        assert done.exit_code == 0, done.exception
        return done.stdout

    return run


def test_a_dry_run_tells_counts_and_cost(dry: Callable[..., str], tmp_path: Path) -> None:
    printed = dry("--method", "sfo", "--suite", "dreambench", "--backbone", "flux-dev", "--json")
    told = json.loads(printed)["cost"]
    assert told["training"]["steps"] == 15_300
    assert set(told["disk_gb"]) == {"pairs", "answers", "encoded", "checkpoints"}
    assert told["pflop"]["answers"] == pytest.approx(3000 * 1.054, rel=0.01)
    assert any("backward pass" in assumption for assumption in told["assumptions"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("method", "told"),
    [
        (["sft-base"], ["sft-base on mini@1", "images to draw", "288", "501 kB"]),
        (["oracle"], ["oracle on mini@1", "images to draw", "288"]),
        (["textual-inversion"], ["trainings", "48", "Memory:", "Assumed:"]),
    ],
)
def test_a_dry_run_for_people_says_what_is_left_and_what_that_takes(
    dry: Callable[..., str], method: list[str], told: list[str]
) -> None:
    printed = dry("--method", *method, "--suite", "mini")
    assert [words for words in told if words not in printed] == []


def test_a_dry_run_may_be_for_a_device_that_is_elsewhere(dry: Callable[..., str]) -> None:
    asked = ("--method", "sfo", "--suite", "dreambench", "--backbone", "flux-dev", "--json")
    one, four = (
        json.loads(dry(*asked, "--device", "H100", "--workers", workers))["cost"]
        for workers in ("1", "4")
    )
    seconds = sum(one["pflop"].values()) * 1e15 / (0.4 * 989e12)
    assert one["hours"] == pytest.approx(seconds / 3600, rel=0.01)
    assert four["hours"] == one["hours"]
    assert one["wall_hours"] / 4 < four["wall_hours"] < one["wall_hours"]


def test_a_dry_run_knows_what_guidance_asks(dry: Callable[..., str]) -> None:
    asked = ("--method", "dreambooth", "--suite", "dreambench", "--backbone", "flux-dev", "--json")
    plain, guided = (json.loads(dry(*asked, *more))["cost"] for more in ((), ("--guidance", "pg")))
    assert plain["training"]["images"] == 15 * 100
    assert guided["pflop"]["answers"] == pytest.approx(2 * plain["pflop"]["answers"], rel=1e-4)
    assert guided["pflop"]["training"] == plain["pflop"]["training"]


def test_a_training_that_tells_no_budget_is_not_in_the_figures(
    dry: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(TextualInversion, "budget")
    told = json.loads(dry("--method", "textual-inversion", "--suite", "mini", "--json"))["cost"]
    assert told["training"] == "not known, and not in the figures below"


def test_costs_are_told_without_torch() -> None:
    code = "import bench.cost.facts, bench.commands.run\nbench.cost.facts.facts_of('flux-dev')"
    assert modules_after(code) & HEAVY == set()
