"""What is said of a run before it begins: counts that follow from the plan, figures from sizes."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from bench import cost
from bench.cli import app
from bench.cost import FACTS, Budget, Device, Flux, estimate, facts_of
from bench.methods.backbones.flux_dev import DEV
from bench.methods.backbones.flux_schnell import SCHNELL
from bench.methods.backbones.mini import load
from bench.methods.textual_inversion import TextualInversion
from tests.methods.conftest import FLUX_DEV_SCHEDULE, tiny_flux, tiny_transformer
from tests.test_cli import HEAVY, modules_after

H100 = Device("NVIDIA H100 80GB HBM3", 80e9)
SFO = Budget(
    steps=300, examples=4800, forwards=19200, backwards=9600, images=5000, encoded=5000, ranks=(16,)
)


def test_a_forward_of_flux_with_a_reference_is_37_6_tflop() -> None:
    assert Flux().forward(512, 1024 + 1024) == pytest.approx(37.6e12, rel=0.02)


@pytest.mark.parametrize("guided", [True, False])
def test_flux_has_the_parameters_of_diffusers_network(guided: bool) -> None:
    with torch.device("meta"):
        network = FluxTransformer2DModel(guidance_embeds=guided)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert Flux(guidance_embeds=guided).parameters == pytest.approx(count, rel=1e-3)


def test_operations_are_those_that_torch_counts() -> None:
    """Of a network so small that what the formula leaves out, modulation, matters a little."""
    network = tiny_transformer()
    text, image = 160, 256
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(
            torch.zeros(1, image, 16),
            torch.zeros(1, text, 32),
            torch.zeros(1, 32),
            torch.zeros(1),
            torch.zeros(image, 3),
            torch.zeros(text, 3),
            torch.zeros(1),
        )
    sizes = {name: network.config[name] for name in Flux.__dataclass_fields__}
    counted = counter.get_total_flops()
    assert Flux(**sizes).forward(text, image) == pytest.approx(counted, rel=0.02)


def test_ominicontrols_lora_has_14_49_million_parameters() -> None:
    assert Flux().adapter(4) == pytest.approx(14.49e6, rel=1e-3)
    assert Flux().adapter(16) == 4 * Flux().adapter(4)


def test_what_is_known_of_backbones_is_what_their_specifications_say() -> None:
    spec = load().spec
    mini = FACTS["mini"]
    assert (mini.steps, mini.resolution, mini.ready) == (spec.steps, spec.resolution, True)
    for release in (DEV, SCHNELL):
        facts = FACTS[release.name]
        assert (facts.steps, facts.text) == (release.steps, release.max_text)
        assert facts.network is not None
        assert facts.network.guidance_embeds == (release.guidance is not None)


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
    assert told.seconds == pytest.approx(sum(told.flops.values()) / (0.4 * 989e12))
    assert estimate(SFO, 0, 7, "flux-dev", H100).seconds < told.seconds  # type: ignore[operator]


@pytest.mark.parametrize("device", [None, Device("Abacus 3000", 1e9)])
def test_without_a_known_device_there_are_operations_but_no_time(device: Device | None) -> None:
    told = estimate(SFO, 3000, None, "flux-dev", device)
    assert told.seconds is None and told.flops and told.memory
    assert any("so no time" in line for line in told.assumptions)


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA L40", 181),
        ("NVIDIA L4", 121),
        ("NVIDIA GeForce RTX 4090", 165),
        ("NVIDIA A10", 125),
    ],
)
def test_devices_are_known_by_name(name: str, tera: float) -> None:
    assert Device(name, 0).peak == tera * 1e12


def test_training_flux_fits_one_accelerator_of_80_gb() -> None:
    memory = estimate(SFO, 3000, None, "flux-dev", H100).memory
    assert memory is not None and 24e9 < memory < 80e9
    large = Budget(**{**SFO.__dict__, "together": 64, "on_demand": True})
    more = estimate(large, 3000, None, "flux-dev", H100).memory
    assert more is not None and more > memory + 64 * 57 * 2560 * 3072 * 2


def test_nothing_is_estimated_of_a_network_that_is_not_known() -> None:
    told = estimate(SFO, 3000, None, "mini", None)
    assert (told.flops, told.memory, told.seconds) == (None, None, None)
    assert told.disk["answers"] == 3000 * 32 * 32 * cost.PNG
    assert estimate(SFO, 1, None, "another", None).disk == {}


def test_a_backbone_that_is_here_is_read_for_its_configuration(
    flux_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(flux_folder))
    facts, origin = facts_of("flux-dev")
    assert facts is not None and facts.network is not None
    assert facts.network.num_layers == 2 and facts.network.width == 32
    assert "config.json" in origin


@pytest.fixture
def flux_folder(tmp_path: Path) -> Path:
    """A home whose FLUX.1-dev is a tiny one."""
    tiny_flux(FLUX_DEV_SCHEDULE, guided=True).save_pretrained(tmp_path / "weights" / "flux-dev")
    return tmp_path


def test_the_device_is_what_the_driver_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cost.device_at_hand() is None
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'NVIDIA L40, 46068'\n")
    driver.chmod(driver.stat().st_mode | stat.S_IXUSR)
    assert cost.device_at_hand() == Device("NVIDIA L40", 46068 * 2**20)
    driver.write_text("#!/bin/sh\necho 'no devices were found'\n")
    assert cost.device_at_hand() is None


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
    assert len(told["assumptions"]) == 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("method", "training"),
    [
        (["sft-base"], "steps 0, examples 0, forwards 0, backwards 0, images 0"),
        (["oracle"], "none"),
        (
            ["textual-inversion", "--set", "iterations=10", "--set", "batch=2"],
            "steps 480, examples 960, forwards 960, backwards 960, images 0",
        ),
    ],
)
def test_a_dry_run_for_people_has_a_line_for_each_figure(
    dry: Callable[..., str], method: list[str], training: str
) -> None:
    lines = dry("--method", *method, "--suite", "mini").splitlines()
    told = {key: figure.strip() for key, _, figure in (line.partition(":") for line in lines)}
    assert "cost" not in told and told["training"] == training
    assert told["hours"] == "not known"
    answers = "not known" if method == ["oracle"] else "pairs 0.0, answers 0.0"
    assert told["disk_gb"] == answers


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
    code = "import bench.cost, bench.commands.run\nbench.cost.facts_of('flux-dev')"
    assert modules_after(code) & HEAVY == set()
