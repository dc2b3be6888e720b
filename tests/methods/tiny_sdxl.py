"""A tiny random SD-XL with its IP-Adapters, saved to disk where the user's own copies lie."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.models.embeddings import IPAdapterPlusImageProjection
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from bench.methods.backbones.backbone import Condition, Tokens
from bench.methods.backbones.sdxl import PLAIN, PLUS, ImagePrompt, SdxlBackbone
from bench.methods.sampling import to_tensor
from tests.methods.conftest import clip_tokenizer
from tests.networks import picture

RESOLUTION = 32
PROMPT = "a red mug on the beach"
PHOTOGRAPH = picture((RESOLUTION, RESOLUTION))
SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
CROSS, FEATURES, HIDDEN = 32, 12, 16
"""Widths of the UNet's context, of the image's embedding, and of the image encoder's tokens."""


def save_sdxl(home: Path) -> None:
    """SD-XL, IP-Adapter and IP-Adapter Plus under a user's ``home``, as they are downloaded."""
    torch.manual_seed(0)
    unet = tiny_unet()
    pipeline = StableDiffusionXLPipeline(
        vae=tiny_vae(),
        text_encoder=CLIPTextModel(text_config()),
        text_encoder_2=CLIPTextModelWithProjection(text_config()),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=unet,
        scheduler=EulerDiscreteScheduler(**SCHEDULE),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    pipeline.save_pretrained(home / "weights" / "sdxl")
    for prompt, projection in ((PLAIN, plain_projection()), (PLUS, plus_projection())):
        save_ip_adapter(home / "weights" / f"{prompt.adapter}.safetensors", projection, unet)
        encoder = CLIPVisionModelWithProjection(vision_config())
        encoder.save_pretrained(home / "weights" / prompt.encoder)


def stock(home: Path, prompt: ImagePrompt | None = PLAIN) -> StableDiffusionXLPipeline:
    """The same weights in diffusers' own pipeline."""
    weights = home / "weights"
    pipeline = StableDiffusionXLPipeline.from_pretrained(weights / "sdxl")
    pipeline.set_progress_bar_config(disable=True)
    if prompt:
        file = f"{prompt.adapter}.safetensors"
        encoder = f"./{prompt.encoder}"
        pipeline.load_ip_adapter(
            str(weights), subfolder="", weight_name=file, image_encoder_folder=encoder
        )
    return pipeline


def tiny_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=RESOLUTION // 2,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=1,
        projection_class_embeddings_input_dim=6 * 8 + CROSS // 2,
        cross_attention_dim=CROSS,
        norm_num_groups=2,
    )


def tiny_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=2,
        scaling_factor=0.13025,
    )


def text_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=54,
        hidden_size=CROSS // 2,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=CROSS // 2,
        bos_token_id=0,
        eos_token_id=1,
    )


def vision_config() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=FEATURES,
    )


def save_ip_adapter(path: Path, projection: dict[str, Tensor], unet: UNet2DConditionModel) -> None:
    """Keys as in the published files: cross-attentions count 1, 3, 5, ... among all."""
    tensors = {f"image_proj.{key}": value for key, value in projection.items()}
    for number, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            width = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
            for side in ("k", "v"):
                tensors[f"ip_adapter.{number}.to_{side}_ip.weight"] = torch.randn(width, CROSS) / 4
    save_file(tensors, path)


def plain_projection() -> dict[str, Tensor]:
    return {
        "proj.weight": torch.randn(4 * CROSS, FEATURES),
        "proj.bias": torch.randn(4 * CROSS),
        "norm.weight": torch.ones(CROSS),
        "norm.bias": torch.zeros(CROSS),
    }


def plus_projection() -> dict[str, Tensor]:
    """Named nearly as diffusers does, which its loader takes as well as the published names."""
    projection = IPAdapterPlusImageProjection(
        embed_dims=HIDDEN, output_dims=CROSS, hidden_dims=16, heads=1, num_queries=4
    )
    state: dict[str, Tensor] = projection.state_dict()
    return {key.replace("to_out.0", "to_out"): value for key, value in state.items()}


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def asked(backbone: SdxlBackbone, prompt: str = PROMPT) -> Condition:
    reference = backbone.encode_references(to_tensor([PHOTOGRAPH], RESOLUTION), seeded(0))
    return Condition(backbone.encode_prompts([prompt]), reference)


def answered(backbone: SdxlBackbone, weights: dict[str, float], seen: bool = True) -> Tensor:
    """What the network answers, adapters named, at one fixed point."""
    condition = asked(backbone)
    condition = condition if seen else Condition(condition.text, None)
    x, t = backbone.noise(seeded(3)), torch.tensor([0.4])
    answer: Tensor = backbone.predict(x, t, condition, weights)
    return answer


def add_trained(backbone: SdxlBackbone, name: str, tokens: Tokens = "image", seed: int = 0) -> None:
    backbone.add_adapter(name, 4, seed, tokens)
    generator = torch.Generator().manual_seed(seed + 1)
    for path, parameter in backbone.adapter_parameters(name).items():
        if ".lora_B." in path:
            nn.init.normal_(parameter, std=0.3, generator=generator)


def drawn(
    pipeline: StableDiffusionXLPipeline, noise: Tensor, guidance: float, **arguments: Any
) -> Tensor:
    images: Tensor = pipeline(
        PROMPT,
        height=RESOLUTION,
        width=RESOLUTION,
        num_inference_steps=4,
        guidance_scale=guidance,
        latents=noise,
        output_type="pt",
        **arguments,
    ).images
    return images
