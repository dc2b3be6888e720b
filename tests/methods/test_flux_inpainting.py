"""The inpainting ControlNet: the published layout of weights, and what it is told of the mask."""

from pathlib import Path

import pytest
import torch
from diffusers import FluxControlNetPipeline

from bench.errors import UserError
from bench.methods.backbones import flux_inpainting
from bench.methods.backbones.panel_attention import left_panel
from tests.methods.tiny_pipelines import EXTRA, beside_flux, save_controlnet, tiny_controlnet


@pytest.fixture
def home(flux_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = beside_flux(flux_home, tmp_path / "home")
    save_controlnet(home)
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    return home


def test_the_further_channels_are_the_packed_mask_that_is_1_where_the_image_is_given() -> None:
    """A panel of 3 tokens is 6 latents wide; the mask of the latents is packed as they are."""
    given = torch.cat([torch.ones(1, 1, 6, 6), torch.zeros(1, 1, 6, 6)], dim=3)
    packed = FluxControlNetPipeline._pack_latents(given, 1, 1, 6, 12)
    assert packed.shape[-1] == EXTRA
    assert torch.equal(packed[0], left_panel(3).float()[:, None].expand(-1, EXTRA))


@torch.no_grad()
def test_it_is_the_stock_network_on_image_and_mask_side_by_side(home: Path) -> None:
    network = flux_inpainting.read(home / "weights" / "flux-inpainting")
    network.given = left_panel(2)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, 8, 16, generator=generator)
    told = left_panel(2).float()[None, :, None].expand(2, -1, EXTRA)
    rest = {
        "hidden_states": torch.randn(2, 8, 16, generator=generator),
        "encoder_hidden_states": torch.randn(2, 3, 32, generator=generator),
        "pooled_projections": torch.randn(2, 32, generator=generator),
        "timestep": torch.tensor([0.5, 0.5]),
        "guidance": torch.tensor([3.5, 3.5]),
        "img_ids": torch.zeros(8, 3),
        "txt_ids": torch.zeros(3, 3),
        "return_dict": False,
    }
    [ours], single = network(controlnet_cond=image, **rest)
    [expected], _ = tiny_controlnet()(controlnet_cond=torch.cat([image, told], dim=-1), **rest)
    assert single is None
    torch.testing.assert_close(ours, expected)


def test_weights_of_another_shape_are_one_clear_sentence(home: Path) -> None:
    config = home / "weights" / "flux-inpainting" / "config.json"
    config.write_text(config.read_text().replace('"num_layers": 1', '"num_layers": 2'))
    with pytest.raises(UserError, match=r"^The weights of 'flux-inpainting' at .* are damaged"):
        flux_inpainting.load()
