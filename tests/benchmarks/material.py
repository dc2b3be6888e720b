"""What the benchmarks work on: photograph-like images in DreamBench's shape, random weights."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import timm
from PIL import Image
from safetensors.torch import save_file

from bench.api import Case
from bench.gallery import Picture
from bench.identity import file_digest
from bench.pictures import read
from bench.protocols import MetricSpec, Protocol
from bench.sitting import Drawn, Sitting

SIZE = 512
SEEDS, PROMPTS, REFERENCES = 4, 25, 5
Painter = Callable[[int], Image.Image]
Photographs = dict[str, dict[str, Picture]]


def sitting_of(drawn: list[Drawn], photographs: Photographs) -> Sitting:
    """The headline metrics of DreamBench."""
    protocol = Protocol(
        suite="speed@1",
        name="speed",
        version=1,
        description="The headline metrics of DreamBench.",
        name_in_prompt="class_noun",
        seeds=SEEDS,
        input_references={},
        metrics=(
            MetricSpec(metric="dino", encoder="dino-vits16"),
            MetricSpec(metric="clip_i", encoder="clip-vitb32-openai"),
            MetricSpec(metric="clip_t", encoder="clip-vitb32-openai"),
        ),
        mini_weights=False,
    )
    return Sitting.of_files(drawn, photographs.__getitem__, protocol)


def draw(folder: Path, count: int, paint: Painter) -> list[Drawn]:
    """Answers in DreamBench's order: 25 prompts of 4 seeds for every subject."""
    folder.mkdir(parents=True)
    drawn = []
    for number in range(count):
        subject, rest = divmod(number, SEEDS * PROMPTS)
        prompt, seed = divmod(rest, SEEDS)
        case = Case(
            suite="speed@1",
            subject=f"subject-{subject:02d}",
            prompt_index=prompt,
            prompt=f"a thing of kind {subject} in the place numbered {prompt}",
            name="thing",
            reference="0.png",
            seed=seed,
        )
        path = folder / f"{number}.png"
        paint(number).save(path)
        drawn.append((case, path, file_digest(path)))
    return drawn


def photographs(folder: Path, count: int, paint: Painter) -> Photographs:
    """Five references for every subject that ``count`` answers reach."""
    folder.mkdir(parents=True)
    found: Photographs = {}
    for subject in range(-(-count // (SEEDS * PROMPTS))):
        for number in range(REFERENCES):
            path = folder / f"{subject}-{number}.png"
            paint(10**6 + REFERENCES * subject + number).save(path)
            picture = Picture(file_digest(path), partial(read, path), "thing")
            found.setdefault(f"subject-{subject:02d}", {})[f"{number}.png"] = picture
    return found


def photograph(seed: int) -> Image.Image:
    """Noise with the spectrum of photographs: about 500 kB as PNG."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None])
    frequency[0, 0] = 1
    phases = np.exp(2j * np.pi * rng.random((3, *frequency.shape)))
    pattern = np.fft.irfft2(rng.normal(size=phases.shape) * phases / frequency, s=(SIZE, SIZE))
    pixels = np.clip(128 + 50 * pattern / pattern.std(), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8).transpose(1, 2, 0))


def dots(seed: int) -> Image.Image:
    """A distinct image of full size that is written in a moment: one colour and a few dots."""
    rng = np.random.default_rng(seed)
    pixels = np.full((SIZE, SIZE, 3), rng.integers(0, 255, 3), np.uint8)
    pixels[rng.integers(0, SIZE, 99), rng.integers(0, SIZE, 99)] = rng.integers(0, 255, (99, 3))
    return Image.fromarray(pixels)


def random_weights(folder: Path) -> None:
    """DINO ViT-S/16 and CLIP ViT-B/32 in their real sizes."""
    folder.mkdir(parents=True)
    dino = timm.create_model("vit_small_patch16_224.dino", pretrained=False)
    save_file(dino.state_dict(), folder / "dino-vits16.safetensors")
    clip = open_clip.create_model("ViT-B-32-quickgelu")
    save_file(clip.state_dict(), folder / "clip-vitb32-openai.safetensors")
