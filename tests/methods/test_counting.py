"""What is counted without weights is what the networks themselves have and take."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import SanaTransformer2DModel
from torch.utils.flop_counter import FlopCounterMode

from bench.cost.facts import COUNTED, FACTS, facts_of
from bench.methods.backbones import lora, unet_lora
from bench.methods.backbones.counting import RELEASED, Released, count, count_folder
from bench.methods.backbones.sana import LAYERS
from bench.methods.backbones.unet_lora import UNET
from tests.methods.tiny_text_backbones import tiny_sana, tiny_sd, tiny_xl

PUBLISHED = json.loads(COUNTED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["sd15", "sana-512", "sdxl-turbo"])
def test_what_is_kept_of_a_public_network_is_what_is_counted(name: str) -> None:
    assert PUBLISHED[name] == asdict(count(RELEASED[name]))


def test_every_public_network_is_kept() -> None:
    assert set(PUBLISHED) == set(RELEASED)
    for name, released in RELEASED.items():
        facts = FACTS[name]
        assert (facts.resolution, facts.text) == (released.resolution, released.text)


def test_the_smaller_sana_is_as_large_as_its_makers_say() -> None:
    heads = {"num_attention_heads": 36, "num_cross_attention_heads": 16}
    widths = {"cross_attention_head_dim": 72, "cross_attention_dim": 1152, "num_layers": 28}
    small = Released(SanaTransformer2DModel, 512, {**heads, **widths}, text=300)
    assert count(small).parameters == pytest.approx(0.59e9, rel=0.01)


def saved(name: str, folder: Path) -> tuple[Any, Path, int]:
    """A tiny network with weights, where it is saved, and the side of its images."""
    if name == "sana":
        network, side = tiny_sana(name).transformer, 64
    else:
        network, side = (tiny_xl if name == "sdxl-turbo" else tiny_sd)(name).unet, 64
    network.save_pretrained(folder)
    return network, folder, side


@pytest.mark.parametrize("name", ["sd15", "sdxl-turbo", "sana"])
def test_a_network_that_is_here_is_counted_from_its_own_configuration(
    name: str, tmp_path: Path
) -> None:
    network, folder, side = saved(name, tmp_path)
    counted = count_folder(folder, side, text=9)
    assert counted.parameters == sum(p.numel() for p in network.parameters())
    assert counted.operations == pytest.approx(run(network, name, side), rel=0.01)
    assert counted.kept >= counted.widest > 0


def run(network: Any, name: str, side: int) -> int:
    """Operations of a real pass."""
    config = network.config
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        if name == "sana":
            x = torch.zeros(1, config.in_channels, side // 32, side // 32)
            words = torch.zeros(1, 9, config.caption_channels)
            network(x, words, torch.zeros(1), encoder_attention_mask=torch.ones(1, 9))
        else:
            x = torch.zeros(1, config.in_channels, side // 8, side // 8)
            words = torch.zeros(1, 9, config.cross_attention_dim)
            network(x, torch.zeros(1), words, added_cond_kwargs=added(config))
    return int(counter.get_total_flops())


def added(config: Any) -> dict[str, torch.Tensor]:
    if config.addition_embed_type is None:
        return {}
    told = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    return {"text_embeds": torch.zeros(1, told), "time_ids": torch.zeros(1, 6)}


@pytest.mark.parametrize("name", ["sd15", "sana"])
def test_a_lora_is_as_large_as_the_adapter_that_trainings_add(name: str, tmp_path: Path) -> None:
    network, folder, side = saved(name, tmp_path)
    layers = LAYERS if name == "sana" else UNET
    unet_lora.add_adapter(network, "own", 3, 0, "image", layers=layers)
    own = sum(p.numel() for p in lora.adapter_parameters(network, "own").values())
    assert count_folder(folder, side, text=9).adapter(3) == own


def test_a_backbone_that_is_here_is_counted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    tiny_sd("sd15").save_pretrained(tmp_path / "weights" / "sd15")
    facts, origin = facts_of("sd15")
    assert facts is not None and facts.network is not None
    assert facts.network.parameters < 1e7
    assert str(tmp_path / "weights" / "sd15" / "unet") in origin
