"""SD-XL with IP-Adapter, loaded from the user's own copies; nothing is downloaded from here.

Table G of SFO (arXiv 2506.03621) names "IP-Adapter, SD-XL" and leaves open which. ``sdxl`` is the
plain adapter on the OpenCLIP ViT-bigG that SD-XL itself reads prompts with, the authors' first for
SD-XL and the one that diffusers shows; the two on ViT-H go by names of their own.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.models.embeddings import ImageProjection
from torch import Tensor

from bench import weights
from bench.identity import identity
from bench.methods.backbones.backbone import (
    BackboneSpec,
    Condition,
    Generators,
    Text,
)
from bench.methods.backbones.clip_words import clip_words
from bench.methods.backbones.flux_ip_adapter import clip_image_encoder
from bench.methods.backbones.pipelines import digest_of, opened, pipeline_of, placed
from bench.methods.backbones.switches import Acting, Scales
from bench.methods.backbones.unet import KlCodec, Parts, UnetBackbone
from bench.methods.sampling import to_images

RESOLUTION = 1024
IMAGE_SCALE = 0.6


@dataclass(frozen=True)
class ImagePrompt:
    """An IP-Adapter for SD-XL and the CLIP that it reads references with: names of weights."""

    adapter: str
    encoder: str


PLAIN = ImagePrompt("sdxl-ip-adapter", "ip-adapter-vit-bigg14")
VIT_H = ImagePrompt("sdxl-ip-adapter-vit-h", "ip-adapter-vit-h14")
PLUS = ImagePrompt("sdxl-ip-adapter-plus", "ip-adapter-vit-h14")


class Eye:
    """IP-Adapter's CLIP as a pipeline holds it: references to features (B, n, d).

    The image's embedding (n = 1), or for IP-Adapter Plus the tokens before CLIP's last layer; the
    UNet's own projection makes the image prompt of them.
    """

    def __init__(self, pipeline: StableDiffusionXLPipeline) -> None:
        self._pipeline = pipeline
        (projection,) = pipeline.unet.encoder_hid_proj.image_projection_layers
        self._pooled = isinstance(projection, ImageProjection)
        pipeline.image_encoder.requires_grad_(False)
        self._unseen = self._features(torch.zeros(1, 3, 64, 64))[1]

    def see(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1]."""
        return self._features(images)[0]

    def unseen(self, count: int) -> Tensor:
        """What stands for a reference where there is none (count, n, d)."""
        return self._unseen.expand(count, -1, -1)

    def prompt(self, features: Tensor) -> list[Tensor]:
        """Features as the UNet is given them: one adapter, one image."""
        return [features if self._pooled else features[:, None]]

    @torch.no_grad()
    def _features(self, images: Tensor) -> list[Tensor]:
        """Of the images, and of none."""
        pipeline = self._pipeline
        both = pipeline.encode_image(
            to_images(images.cpu()), pipeline.image_encoder.device, 1, not self._pooled
        )
        both = [features.to(pipeline.unet.device) for features in both]
        return [features[:, None] if self._pooled else features for features in both]


class PlainSdxl(UnetBackbone):
    """SD-XL as released: it reads prompts, and is told that no image was cropped or scaled."""

    def _added(self, condition: Condition) -> dict[str, Any]:
        pooled, side = condition.text.pooled, self.spec.resolution
        sizes = torch.tensor([side, side, 0, 0, side, side], dtype=self.dtype, device=self.device)
        return {"text_embeds": pooled, "time_ids": sizes.expand(len(pooled), -1)}


class SdxlBackbone(PlainSdxl):
    """SD-XL that sees references through IP-Adapter's image prompt, at ``image_scale``.

    Without a reference the image prompt is off, and it is the plain SD-XL.
    """

    def __init__(
        self, spec: BackboneSpec, parts: Parts, eye: Eye, image_scale: float = IMAGE_SCALE
    ) -> None:
        super().__init__(spec, parts)
        self._eye, self.image_scale = eye, image_scale

    def seeing(self, image_scale: float) -> "SdxlBackbone":
        """The same networks at another scale of the image prompt."""
        other = copy.copy(self)
        other.image_scale = image_scale
        return other

    def encode_references(self, images: Tensor, generators: Generators) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to features (B, n, d) of IP-Adapter's CLIP."""
        return self._eye.see(images)

    def _acting(self, condition: Condition, scales: Scales) -> Acting:
        seen = condition.reference is not None
        return Acting(dict(scales), self.image_scale if seen else 0.0)

    def _added(self, condition: Condition) -> dict[str, Any]:
        features = condition.reference
        if features is None:
            features = self._eye.unseen(len(condition.text.pooled))
        return {**super()._added(condition), "image_embeds": self._eye.prompt(features)}

    def _unseen(self, reference: Tensor) -> Tensor:
        return self._eye.unseen(len(reference))


def load(resolution: int = RESOLUTION) -> SdxlBackbone:
    """SD-XL base 1.0 with the plain IP-Adapter on ViT-bigG, from the user's copies of the three.

    bf16 on an accelerator, fp32 on the CPU; ``resolution`` in pixels. UserError when one is not
    there or not whole.
    """
    return _load("sdxl", PLAIN, resolution)


def load_vit_h(resolution: int = RESOLUTION) -> SdxlBackbone:
    """SD-XL base 1.0 as ``load`` has it, with the plain IP-Adapter on ViT-H instead."""
    return _load("sdxl-ip-adapter-vit-h", VIT_H, resolution)


def load_plus(resolution: int = RESOLUTION) -> SdxlBackbone:
    """SD-XL base 1.0 as ``load`` has it, with IP-Adapter Plus instead."""
    return _load("sdxl-ip-adapter-plus", PLUS, resolution)


def _load(name: str, prompt: ImagePrompt, resolution: int) -> SdxlBackbone:
    pipeline = pipeline_of(
        StableDiffusionXLPipeline,
        "sdxl",
        image_encoder=opened(prompt.encoder, clip_image_encoder),
        use_safetensors=True,
        add_watermarker=False,
    )
    opened(
        prompt.adapter,
        lambda file: pipeline.load_ip_adapter(
            str(file.parent), subfolder="", weight_name=file.name, local_files_only=True
        ),
    )
    beside = (weights.digest(weights.find(part)) for part in (prompt.adapter, prompt.encoder))
    return wrap(placed(pipeline), name, identity([digest_of("sdxl"), *beside]), resolution)


def wrap(
    pipeline: StableDiffusionXLPipeline, name: str, digest: str, resolution: int = RESOLUTION
) -> SdxlBackbone:
    """Our backbone around the parts of a stock pipeline that holds an IP-Adapter."""
    spec = BackboneSpec(
        name=name,
        digest=digest,
        resolution=resolution,
        steps=50,
        guidance=5.0,
        corpus="subjects200k",
        batch=1,
        sees_references=True,
    )
    return SdxlBackbone(spec, parts_of(pipeline), Eye(pipeline))


def parts_of(pipeline: StableDiffusionXLPipeline) -> Parts:
    """A stock pipeline's networks, and how it encodes prompts."""

    def encode_prompts(prompts: list[str]) -> Text:
        tokens, _, pooled, _ = pipeline.encode_prompt(
            prompts, device=pipeline.text_encoder.device, do_classifier_free_guidance=False
        )
        return Text(tokens, pooled)

    encoders = (
        pipeline.text_encoder,
        pipeline.text_encoder_2,
        pipeline.image_encoder,
        pipeline.vae,
    )
    return Parts(
        pipeline.unet,
        encode_prompts,
        _null(pipeline),
        KlCodec(pipeline.vae),
        pipeline.scheduler,
        [encoder for encoder in encoders if encoder is not None],
        clip_words(pipeline, encode_prompts),
    )


@torch.no_grad()
def _null(pipeline: StableDiffusionXLPipeline) -> Text:
    """What the pipeline itself puts in the prompt's place: zeros for SD-XL base."""
    _, tokens, _, pooled = pipeline.encode_prompt([""], do_classifier_free_guidance=True)
    return Text(tokens, pooled)
