"""What is known of backbones is what their own modules say, and every one of them is known."""

from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.cost.facts import FACTS, facts_of
from bench.cost.networks import Counted, Flux
from bench.methods.backbones.flux_dev import DEV
from bench.methods.backbones.flux_schnell import SCHNELL
from bench.methods.backbones.instruct_pix2pix import RELEASE
from bench.methods.backbones.mini import load
from bench.methods.backbones.mini_text import LENGTH
from bench.methods.backbones.sana import SANA, SANA_512
from bench.methods.backbones.sd15 import SD15
from bench.methods.backbones.sd21 import SD21, SD21_768
from bench.methods.backbones.sd_turbo import SD_TURBO
from bench.methods.backbones.sdxl_turbo import SDXL_TURBO
from tests.methods.conftest import FLUX_DEV_SCHEDULE, tiny_flux


def test_every_backbone_is_known() -> None:
    assert set(registry.BUILT_IN["backbone"]) == set(FACTS)
    assert all(facts.network is not None for facts in FACTS.values())


def test_mini_is_as_it_is_shipped() -> None:
    backbone, mini = load(), FACTS["mini"]
    spec = backbone.spec
    assert (mini.steps, mini.resolution, mini.batch) == (spec.steps, spec.resolution, spec.batch)
    assert mini.text == LENGTH and mini.ready
    assert isinstance(mini.network, Flux)
    config = backbone.transformer.config
    assert {name: config[name] for name in Flux.__dataclass_fields__} == mini.network.__dict__


@pytest.mark.parametrize("release", [DEV, SCHNELL])
def test_flux_is_sampled_as_released(release: Any) -> None:
    facts = FACTS[release.name]
    assert (facts.steps, facts.text) == (release.steps, release.max_text)
    assert isinstance(facts.network, Flux)
    assert facts.network.guidance_embeds == (release.guidance is not None)


@pytest.mark.parametrize(
    "release",
    [SD15, SD21, SD21_768, SD_TURBO, SDXL_TURBO, SANA, SANA_512, RELEASE],
    ids=lambda release: release.name,
)
def test_the_others_are_sampled_as_their_releases_say(release: Any) -> None:
    facts = FACTS[release.name]
    stated = (release.steps, release.resolution)
    assert (facts.steps, facts.resolution) == stated
    assert facts.passes == (1 if release.guidance is None else 2)


@pytest.mark.parametrize(
    ("name", "billions"),
    [("sd15", 0.860), ("sd21", 0.866), ("sdxl", 2.57), ("sana", 1.60), ("flux-dev", 11.9)],
)
def test_networks_are_as_large_as_their_makers_say(name: str, billions: float) -> None:
    network = FACTS[name].network
    assert network is not None
    assert network.parameters / 1e9 == pytest.approx(billions, rel=0.003)


def test_a_flux_that_is_here_is_read_for_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    tiny_flux(FLUX_DEV_SCHEDULE, guided=True).save_pretrained(tmp_path / "weights" / "flux-dev")
    facts, origin = facts_of("flux-dev")
    assert facts is not None and isinstance(facts.network, Flux)
    assert facts.network.num_layers == 2 and facts.network.width == 32
    assert str(tmp_path / "weights" / "flux-dev" / "transformer") in origin


def test_what_is_not_here_is_as_it_is_published() -> None:
    facts, origin = facts_of("sdxl")
    assert facts == FACTS["sdxl"] and isinstance(facts.network, Counted)
    assert "public configuration" in origin
    assert facts_of("none")[0] is None
