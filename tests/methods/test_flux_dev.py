"""FLUX.1-dev's path, held on a tiny FLUX saved to disk: what it is, and how it is sampled."""

import torch
from diffusers import FluxPipeline

from bench.methods.backbones.backbone import Condition
from bench.methods.backbones.flux import FluxBackbone

PROMPT = "a red mug on the beach"


def test_it_is_loaded_as_flux_dev_with_the_papers_sampling(flux: FluxBackbone) -> None:
    spec = flux.spec
    assert (spec.name, spec.steps, spec.guidance) == ("flux-dev", 28, 3.5)
    assert (spec.corpus, spec.mini, spec.sft) == ("subjects200k", False, None)
    assert flux.dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in flux.transformer.parameters())


def test_our_sampler_draws_what_flux_pipeline_draws(
    flux: FluxBackbone, stock: FluxPipeline
) -> None:
    expected = stock(
        PROMPT,
        height=16,
        width=16,
        num_inference_steps=6,
        guidance_scale=3.5,
        max_sequence_length=16,
        generator=torch.Generator().manual_seed(11),
        output_type="latent",
    ).images
    noise = flux.noise([torch.Generator().manual_seed(11)])
    condition = Condition(flux.encode_prompts([PROMPT]), None)
    ours = flux.sample(condition, noise, {}, steps=6, guidance=3.5)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    weaker = flux.sample(condition, noise, {}, steps=6, guidance=1.0)
    assert (weaker - expected).abs().max() > 1e-3  # guidance does reach the network


def test_the_schedule_is_flux_pipelines_at_the_real_size(
    flux: FluxBackbone, stock: FluxPipeline
) -> None:
    """1024 tokens at 512 pixels: mu is 0.63."""
    flux._side = 32
    ours = flux.schedule(28).timesteps / 1000
    plain = torch.linspace(1, 1 / 28, 28)
    shift = torch.tensor(0.63).exp()
    torch.testing.assert_close(ours, shift * plain / (1 + (shift - 1) * plain))
