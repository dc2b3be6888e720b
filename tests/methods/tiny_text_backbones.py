"""Tiny random checkpoints of backbones without an image prompt, saved as they are downloaded."""

from pathlib import Path
from string import ascii_lowercase
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    SanaPipeline,
    SanaTransformer2DModel,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import Tensor
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
)

from tests.methods.conftest import clip_tokenizer
from tests.methods.tiny_sdxl import PROMPT, SCHEDULE, text_config, tiny_unet, tiny_vae

SIDE, STEPS = 32, 3
STABLE = ("sd15", "sd21", "sd21-768", "sd-turbo")
NAMES = (*STABLE, "sdxl-turbo", "sana", "sana-512")
TRAILING = {**SCHEDULE, "timestep_spacing": "trailing"}
DDIM = {key: value for key, value in SCHEDULE.items() if key != "timestep_spacing"}
PUBLISHED = {
    "sd15": PNDMScheduler(skip_prk_steps=True, **DDIM),
    "sd21": PNDMScheduler(skip_prk_steps=True, **DDIM),
    "sd21-768": DDIMScheduler(
        clip_sample=False, set_alpha_to_one=False, prediction_type="v_prediction", **DDIM
    ),
    "sd-turbo": EulerDiscreteScheduler(**TRAILING),
    "sdxl-turbo": EulerAncestralDiscreteScheduler(**TRAILING),
}
SAMPLED = {
    **dict.fromkeys(("sd15", "sd21", "sd21-768"), DDIMScheduler),
    **dict.fromkeys(("sd-turbo", "sdxl-turbo"), EulerDiscreteScheduler),
}
KINDS = {
    **dict.fromkeys(STABLE, StableDiffusionPipeline),
    "sdxl-turbo": StableDiffusionXLPipeline,
    **dict.fromkeys(("sana", "sana-512"), SanaPipeline),
}


def save(home: Path) -> None:
    """Every one of them under a user's ``home``."""
    for name in NAMES:
        torch.manual_seed(0)
        make = tiny_sana if name.startswith("sana") else tiny_xl if "xl" in name else tiny_sd
        make(name).save_pretrained(home / "weights" / name)


def tiny_sd(name: str) -> StableDiffusionPipeline:
    unet = UNet2DConditionModel(
        sample_size=SIDE // 2,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        cross_attention_dim=16,
        norm_num_groups=2,
    )
    return StableDiffusionPipeline(
        vae=tiny_vae(),
        text_encoder=CLIPTextModel(text_config()),
        tokenizer=clip_tokenizer(),
        unet=unet,
        scheduler=PUBLISHED[name],
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def tiny_xl(name: str) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline(
        vae=tiny_vae(),
        text_encoder=CLIPTextModel(text_config()),
        text_encoder_2=CLIPTextModelWithProjection(text_config()),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=tiny_unet(),
        scheduler=PUBLISHED[name],
        add_watermarker=False,
    )


def tiny_sana(name: str) -> SanaPipeline:
    return SanaPipeline(
        tokenizer=gemma_tokenizer(),
        text_encoder=Gemma2Model(
            Gemma2Config(
                vocab_size=40,
                hidden_size=8,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=4,
            )
        ),
        vae=tiny_dc(),
        transformer=SanaTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_layers=2,
            num_attention_heads=2,
            attention_head_dim=4,
            num_cross_attention_heads=2,
            cross_attention_head_dim=4,
            cross_attention_dim=8,
            caption_channels=8,
            sample_size=SIDE // 2,
        ),
        scheduler=DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )


def tiny_dc() -> AutoencoderDC:
    return AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )


def gemma_tokenizer() -> GemmaTokenizer:
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "▁", *ascii_lowercase]
    return GemmaTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[])


def stock(name: str, home: Path) -> Any:
    """The same weights in diffusers' own pipeline, under the scheduler that papers sample with."""
    pipeline = KINDS[name].from_pretrained(home / "weights" / name)
    if scheduler := SAMPLED.get(name):
        pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def drawn(pipeline: Any, noise: Tensor, guidance: float, steps: int = STEPS) -> Tensor:
    sana = {"use_resolution_binning": False} if isinstance(pipeline, SanaPipeline) else {}
    images: Tensor = pipeline(
        PROMPT,
        height=SIDE,
        width=SIDE,
        num_inference_steps=steps,
        guidance_scale=guidance,
        latents=noise,
        output_type="pt",
        **sana,
    ).images
    return images
