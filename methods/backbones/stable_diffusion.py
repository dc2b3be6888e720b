"""Stable Diffusion 1 and 2, loaded from the user's own copies; nothing is downloaded from here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import SchedulerMixin, StableDiffusionPipeline

from bench.methods.backbones.backbone import BackboneSpec, Text
from bench.methods.backbones.clip_words import clip_words
from bench.methods.backbones.pipelines import digest_of, pipeline_of, placed
from bench.methods.backbones.unet import KlCodec, Parts, UnetBackbone


@dataclass(frozen=True)
class Release:
    """What sets a release apart: its scheduler's class, the others as in ``BackboneSpec``."""

    name: str
    resolution: int
    steps: int
    guidance: float | None
    scheduler: type[SchedulerMixin]

    def spec(self, resolution: int | None) -> BackboneSpec:
        """``resolution`` in pixels; None: the release's."""
        return BackboneSpec(
            name=self.name,
            digest=digest_of(self.name),
            resolution=resolution or self.resolution,
            steps=self.steps,
            guidance=self.guidance,
            corpus="subjects200k",
            batch=1,
        )

    def scheduled(self, pipeline: Any) -> Any:
        """The same pipeline under the release's scheduler, betas and spacing its checkpoint's."""
        pipeline.scheduler = self.scheduler.from_config(pipeline.scheduler.config)
        return pipeline


def load(release: Release, resolution: int | None = None) -> UnetBackbone:
    """A release from ``SUBJECTBENCH_HOME/weights`` or the Hugging Face cache.

    bf16 on an accelerator, fp32 on the CPU; ``resolution`` in pixels. UserError when it is not
    there or not whole.
    """
    pipeline = pipeline_of(
        StableDiffusionPipeline,
        release.name,
        use_safetensors=True,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return UnetBackbone(release.spec(resolution), parts_of(release.scheduled(placed(pipeline))))


def parts_of(pipeline: StableDiffusionPipeline) -> Parts:
    """A stock pipeline's networks, and how it encodes prompts; its null prompt is the empty one."""
    encode = _encoder(pipeline)
    with torch.no_grad():
        null = encode([""])
    encoders = [pipeline.text_encoder, pipeline.vae]
    words = clip_words(pipeline, _reader(pipeline))
    codec = KlCodec(pipeline.vae)
    return Parts(pipeline.unet, encode, null, codec, pipeline.scheduler, encoders, words)


def _encoder(pipeline: StableDiffusionPipeline) -> Callable[[list[str]], Text]:
    def encode(prompts: list[str]) -> Text:
        tokens, _ = pipeline.encode_prompt(prompts, pipeline.text_encoder.device, 1, False)
        return Text(tokens, tokens.new_empty(len(tokens), 0))

    return encode


def _reader(pipeline: StableDiffusionPipeline) -> Callable[[list[str]], Text]:
    """As the pipeline encodes, with the pooled embedding that its network is not told."""
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder

    def read(prompts: list[str]) -> Text:
        length = tokenizer.model_max_length
        said = tokenizer(
            prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        found = encoder(said.input_ids.to(encoder.device))
        return Text(found.last_hidden_state, found.pooler_output)

    return read
