"""Speed and memory of scoring, side by side in one run.

By hand: ``python -m tests.benchmarks.scoring``, on an otherwise idle machine: the figures are
ratios. Networks have their real sizes (DINO ViT-S/16, CLIP ViT-B/32) and random weights.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from cleanfid import fid
from torch_fidelity.datasets import ImagesPathDataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.utils import get_featuresdict_from_dataset

from bench.features import FeatureStore
from bench.gallery import Picture
from bench.identity import file_digest
from bench.metrics.encoders import NetworkEncoder, clip_vitb32_openai, dino_vits16
from bench.metrics.networks import Runner, exactly
from bench.metrics.similarity import cosines, embed
from bench.observe import Observed, observe
from bench.pictures import read
from bench.score import Networks, score
from bench.sitting import Drawn, Sitting
from bench.views import View
from tests.benchmarks.material import (
    dots,
    draw,
    photograph,
    photographs,
    random_weights,
    sitting_of,
)

BLANK = [np.zeros((224, 224, 3), np.uint8)]
Work = Callable[[], object]


def main() -> None:
    """Print every figure, one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--flat", type=int, default=3000, help="images of the memory test; 0: none")
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory:
        _grow(asked.memory, asked.images)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["SUBJECTBENCH_HOME"] = str(root / "home")
        random_weights(root / "home" / "weights")
        drawn = draw(root / "images", asked.images, photograph)
        known = photographs(root / "references", asked.images, photograph)
        _against_bare_passes(root, sitting_of(drawn, known))
        _against_papers(root, sitting_of(drawn[:40], known))
        _against_peers(root, drawn[:80])
        if asked.flat:
            _memory(root, asked.flat)


def _against_bare_passes(root: Path, sitting: Sitting) -> None:
    shown = len(sitting.pictures) + len(sitting.opposite("references"))
    networks: Networks = {}
    score(sitting, store=FeatureStore(root / "warm.sqlite"), networks=networks)
    bare = _bare(shown, [network.runner for network in networks.values()])

    def cold() -> None:
        score(sitting, store=_fresh(root), networks=networks)

    forward, first = _best(3, bare, cold)
    (warm,) = _best(3, lambda: score(sitting, store=FeatureStore(root / "warm.sqlite")))
    say("bare forward passes", f"{forward:.2f} s: {shown} images, two encoders")
    say("scoring, cold cache", f"{first:.2f} s, {first / forward:.3f} times the bare passes")
    say("scoring, warm cache", f"{warm:.3f} s, {first / warm:.0f} times faster than cold")


def _bare(count: int, runners: Sequence[Runner]) -> Work:
    """The loaded networks over tensors that are ready, in our batches."""
    batches = torch.randn(count, 3, 224, 224).split(32)

    def run() -> None:
        with exactly():
            for runner in runners:
                for batch in batches:
                    runner.towers.images(batch)

    return run


def _against_papers(root: Path, sitting: Sitting) -> None:
    """Every metric decodes for itself, one image at a time, and encodes its reference anew."""
    networks: Networks = {}
    score(sitting, store=_fresh(root), networks=networks)
    dino, clip = networks.values()

    def fidelity(encoder: NetworkEncoder) -> None:
        for answer in sitting.answers:
            reference = sitting.counted(sitting.protocol.metrics[0], answer.case)[0]
            image = embed(encoder, [answer.picture.open()])
            cosines(image, embed(encoder, [reference.open()]))

    def papers() -> None:
        fidelity(dino)
        fidelity(clip)
        for answer in sitting.answers:
            image = embed(clip, [answer.picture.open()])
            cosines(image, clip.encode_texts([answer.case.prompt]))

    def ours() -> None:
        score(sitting, store=_fresh(root), networks=networks)

    theirs, own = _best(2, papers, ours)
    count = len(sitting.answers)
    ratio = f"{theirs:.2f} s / {own:.2f} s = {theirs / own:.1f}"
    say("as papers' scripts do", f"{ratio} ({count} images)")


def _against_peers(root: Path, drawn: Sequence[Drawn]) -> None:
    """Features of one folder by the same network: ours, torch-fidelity's and clean-fid's."""
    folder = root / "flat"
    folder.mkdir()
    for number, (_, path, _) in enumerate(drawn):
        (folder / f"{number}.png").hardlink_to(path)
    ours, fidelity, clean = _best(
        3, _ours(root, folder), _torch_fidelity(folder), _clean_fid(folder)
    )
    for name, theirs in (("torch-fidelity", fidelity), ("clean-fid", clean)):
        say(f"{name} / ours", f"{theirs:.2f} s / {ours:.2f} s = {theirs / ours:.2f}")


def _ours(root: Path, folder: Path) -> Work:
    view = View(dino_vits16())
    view.network.encode_images(BLANK)

    def run() -> None:
        pictures = [Picture(file_digest(path), partial(read, path)) for path in folder.iterdir()]
        observe(Observed(_fresh(root)), pictures, [view], {})

    return run


def _on_tensors() -> Callable[[torch.Tensor], torch.Tensor]:
    """DINO on (B, 3, H, W) in 0..255, resized by torch: the least that others have to do."""
    network = dino_vits16().runner.towers.images

    def run(images: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.interpolate(images.float(), (224, 224), mode="bilinear")
        with torch.inference_mode():
            features: torch.Tensor = network(small / 127.5 - 1)
        return features

    return run


class Extractor(FeatureExtractorBase):  # type: ignore[misc]
    """DINO as torch-fidelity wants an extractor."""

    def __init__(self, network: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__("dino", ["all"])
        self.network = network

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("all",)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.network(images),)


def _torch_fidelity(folder: Path) -> Work:
    files, extractor = sorted(map(str, folder.iterdir())), Extractor(_on_tensors())

    def run() -> None:
        images = ImagesPathDataset(files)
        options: dict[str, Any] = {"save_cpu_ram": True, "verbose": False}
        get_featuresdict_from_dataset(images, extractor, 32, False, **options)

    return run


def _clean_fid(folder: Path) -> Work:
    network = _on_tensors()

    def run() -> None:
        fid.get_folder_features(
            str(folder),
            model=network,
            num_workers=0,
            batch_size=32,
            device=torch.device("cpu"),
            mode="clean",
            verbose=False,
        )

    return run


def _memory(root: Path, count: int) -> None:
    """Peak memory of scoring few and many images, each in a process of its own."""
    for images in (count // 10, count):
        command = [sys.executable, "-m", "tests.benchmarks.scoring", "--memory", str(root)]
        done = subprocess.run(
            [*command, "--images", str(images)], check=True, capture_output=True, text=True
        )
        say(f"memory, {images} images", done.stdout.strip())


def _grow(root: Path, count: int) -> None:
    """Score images that need little disk; print the peak memory above that of the networks."""
    folder = Path(tempfile.mkdtemp(dir=root))
    drawn = draw(folder / "images", count, dots)
    sitting = sitting_of(drawn, photographs(folder / "references", count, dots))
    for encoder in (dino_vits16(), clip_vitb32_openai()):
        encoder.encode_images(BLANK)
    idle = _resident()
    score(sitting, store=FeatureStore(folder / "store.sqlite"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    say("", f"{peak - idle:.2f} GiB above the {idle:.2f} GiB of a process with both networks")


def _resident() -> float:
    """GiB that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def _fresh(root: Path) -> FeatureStore:
    return FeatureStore(root / f"{uuid4().hex}.sqlite")


def _best(rounds: int, *works: Work) -> list[float]:
    """The least seconds of each, taken in turns so that all meet the same machine."""
    times = [[_timed(work) for work in works] for _ in range(rounds)]
    return [min(column) for column in zip(*times, strict=True)]


def _timed(work: Work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def say(what: str, figures: str) -> None:
    """One line of the result."""
    sys.stdout.write(f"{what:<26} {figures}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
