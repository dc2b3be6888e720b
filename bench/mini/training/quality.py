"""Held-out quality of the mini networks, as the model card tells it. Validation subjects only."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from bench.api import Encoder, Progress, silent
from bench.methods.backbones.backbone import Weights
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.mini import SFT
from bench.methods.sampling import draw
from bench.metrics.fid import Fid
from bench.metrics.mini_encoders import mini_clip, mini_dino
from bench.metrics.similarity import directions, embed
from bench.mini.training import judges, reader
from bench.mini.training.data import Corpus
from bench.mini.training.stages import trained_base
from bench.mini.weights import weights_file

Pixels = NDArray[np.uint8]
Features = NDArray[np.floating[Any]]


def measure(cache: Path, progress: Progress = silent) -> dict[str, dict[str, float]]:
    """Figures of the judges, of true renderings, of the base alone and of SFT-base."""
    networks = {name: load_file(weights_file(f"mini-{name}")) for name in ("dino", "clip")}
    read = load_file(weights_file("mini-attributes"))
    corpus = judges.validation_corpus(cache)
    backbone = trained_base(weights_file("mini-base").parent)
    backbone.load_adapter("sft", weights_file(SFT))
    samples = {
        "truth": corpus.targets.reshape(-1, *corpus.targets.shape[2:]),
        "base": _samples(backbone, corpus, {}, "base", progress),
        "sft-base": _samples(backbone, corpus, {"sft": 1.0}, "sft-base", progress),
    }
    return {
        "mini-dino": judges.evaluate_dino(networks["dino"], cache),
        "mini-clip": judges.evaluate_clip(networks["clip"], cache),
        "mini-attributes": reader.evaluate_attributes(read, cache),
        **{name: _judged(images, corpus, read) for name, images in samples.items()},
    }


def _samples(
    backbone: FluxBackbone, corpus: Corpus, weights: Weights, title: str, progress: Progress
) -> Pixels:
    """One sample for each (subject, scene) of a corpus, given the reference."""
    per_subject = corpus.targets.shape[1]
    drawn: list[Pixels] = []
    for index, reference in enumerate(corpus.references):
        prompts = [prompt.format(corpus.kinds[index]) for prompt in corpus.prompts[index]]
        seeds = [index * per_subject + k for k in range(per_subject)]
        references = [Image.fromarray(reference)] * per_subject
        steps = backbone.spec.steps
        images = draw(backbone, prompts, references, seeds, weights, steps, 1.0)
        drawn += [np.asarray(image) for image in images]
        progress(title, index + 1, len(corpus.references))
    return np.stack(drawn)


def _judged(samples: Pixels, corpus: Corpus, weights: dict[str, Any]) -> dict[str, float]:
    """Similarity to true targets, references and prompts; attributes read; FID to the truth."""
    truth = corpus.targets.reshape(samples.shape)
    per_subject = corpus.targets.shape[1]
    dino, clip = mini_dino(), mini_clip()
    seen, true = _features(dino, samples), _features(dino, truth)
    references = np.repeat(_features(dino, corpus.references), per_subject, axis=0)
    texts = directions(clip.encode_texts(judges.full_prompts(corpus).reshape(-1).tolist()))
    identities, labels = reader.attributes("validation", len(corpus.references))
    shown = reader.readable(identities, judges.recolours(corpus)).reshape(-1)
    model = judges.loaded(reader.build_reader(), weights)
    with torch.inference_mode():
        read = reader.read_attributes(model, samples).numpy()
    right = read == labels.numpy().repeat(per_subject, axis=0)
    return {
        "dino to target": float((seen * true).sum(axis=1).mean()),
        "dino to reference": float((seen * references).sum(axis=1).mean()),
        "clip to prompt": float((_features(clip, samples) * texts).sum(1).mean()),
        "pattern read": float(right[shown, 0].mean()),
        "emblem read": float(right[:, 1].mean()),
        "fid on mini-dino": Fid().score(seen, true),
    }


def _features(encoder: Encoder, pixels: Pixels) -> Features:
    """(N, D) rows of unit length."""
    return directions(embed(encoder, [Image.fromarray(array) for array in pixels]))
