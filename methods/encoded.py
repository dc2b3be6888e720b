"""Examples encoded ahead of a training, so that encoders need not be there while it runs.

Latents are drawn anew from kept moments for every batch, by the batch's own generators: batches are
those of ``OnDemand``, bit for bit, so no image depends on which of the two there was disk for.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from bench.api import Workspace
from bench.errors import UserError
from bench.identity import identity
from bench.methods.backbones.backbone import Backbone, Generators, Text
from bench.methods.corpora import Corpus
from bench.methods.examples import Encoding, Example, OnDemand, Opener
from bench.methods.sampling import to_tensor
from bench.processes import processes
from bench.store import in_turn, write_atomically

MOST = 20_000
"""Examples that are still encoded ahead."""
SPARE = 5e9
"""Bytes of disk that are left free."""
Codes = dict[str, Tensor]
"""Names to (1, ...): a prompt's embeddings, moments of images, features of a reference."""


class EncodedAhead:
    """An encoding that reads what ``prepare`` wrote.

    A triplet's codes lie in a file of its own, known by its place in the corpus, a candidate's by
    its pixels. Later trainings on the same backbone reuse both.
    """

    def __init__(self, backbone: Backbone, corpus: Corpus, cache: Path) -> None:
        self.backbone, self.corpus, self.size = backbone, corpus, backbone.spec.resolution
        self._blank = self._encode("", self._blank_image())
        shapes = [[name, *code.shape, str(code.dtype)] for name, code in self._blank.items()]
        folder = cache / "encoded" / identity([backbone.spec.digest, self.size, shapes])[:16]
        self._triplets = folder / f"corpus-{identity(corpus.identity)[:16]}"
        self._candidates = folder / "candidates"
        self._files: dict[Opener, Path] = {}
        self._read = lru_cache(64)(_read)

    def prepare(self, examples: Sequence[Example], workspace: Workspace) -> None:
        """Encode whatever is not there yet; processes share the work."""
        own = processes().share(examples)
        for done, example in enumerate(own, start=1):
            self._prepare(example)
            workspace.progress("encode", done, len(own))
        processes().wait()
        for example in examples:
            self._prepare(example)

    def bytes_for(self, examples: Sequence[Example]) -> int:
        """How much more disk they take, at most."""
        image, condition = _bytes(self._image(self._blank_image())), _bytes(self._blank)
        new = [e for e in examples if not self._triplet_file(e.index).exists()]
        candidates = sum(len(_openers(example)) for example in examples)
        return len(new) * (condition + image) + candidates * image

    def text(self, examples: Sequence[Example], dropped: Sequence[bool]) -> Text:
        codes = self._conditions(examples, dropped)
        return Text(self._joined(codes, "tokens"), self._joined(codes, "pooled"))

    def references(
        self, examples: Sequence[Example], dropped: Sequence[bool], generators: Generators
    ) -> Tensor:
        seen = self._joined(self._conditions(examples, dropped), "reference")
        if self.backbone.spec.sees_references:
            return seen
        return self.backbone.latents(seen, generators)

    def positives(self, examples: Sequence[Example], generators: Generators) -> Tensor:
        files = [
            self._files[example.positive] if example.positive else self._triplet_file(example.index)
            for example in examples
        ]
        return self._latents(files, generators)

    def negatives(self, examples: Sequence[Example], generators: Generators) -> Tensor:
        files = [self._files[example.negative] for example in examples if example.negative]
        return self._latents(files, generators)

    def _latents(self, files: Sequence[Path], generators: Generators) -> Tensor:
        moments = self._joined([self._read(file) for file in files], "image")
        return self.backbone.latents(moments, generators)

    def _conditions(self, examples: Sequence[Example], dropped: Sequence[bool]) -> list[Codes]:
        return [
            self._blank if drop else self._read(self._triplet_file(example.index))
            for example, drop in zip(examples, dropped, strict=True)
        ]

    def _joined(self, codes: Sequence[Codes], name: str) -> Tensor:
        return torch.cat([code[name] for code in codes]).to(self.backbone.device)

    def _triplet_file(self, index: int) -> Path:
        return self._triplets / f"{index:06d}.safetensors"

    def _blank_image(self) -> Image.Image:
        return Image.new("RGB", (self.size, self.size))

    def _prepare(self, example: Example) -> None:
        file = self._triplet_file(example.index)
        if not file.exists():
            triplet = self.corpus[example.index]
            condition = self._encode(triplet.prompt, triplet.reference)
            _write(file, {**condition, **self._image(triplet.target)})
        for opener in _openers(example):
            if opener not in self._files:
                self._files[opener] = self._candidate(opener())

    def _candidate(self, image: Image.Image) -> Path:
        pixels = hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes())
        file = self._candidates / f"{pixels.hexdigest()}.safetensors"
        if not file.exists():
            _write(file, self._image(image))
        return file

    def _encode(self, prompt: str, reference: Image.Image) -> Codes:
        """A reference is an image like others, or what a backbone's own eye makes of it."""
        text = self.backbone.encode_prompts([prompt])
        pixels = to_tensor([reference], self.size)
        if self.backbone.spec.sees_references:
            seen = self.backbone.encode_references(pixels, [torch.Generator()])
        else:
            seen = self.backbone.moments(pixels)
        return _kept({"tokens": text.tokens, "pooled": text.pooled, "reference": seen})

    def _image(self, image: Image.Image) -> Codes:
        return _kept({"image": self.backbone.moments(to_tensor([image], self.size))})


@contextmanager
def encoded(
    backbone: Backbone,
    corpus: Corpus,
    examples: Sequence[Example],
    seen: int,
    workspace: Workspace,
) -> Iterator[Encoding]:
    """The encoding for a training that sees ``seen`` examples in all; the log says which.

    Ahead where they are few enough, the disk holds them and it pays: on an accelerator, whose
    memory the encoders leave meanwhile, or where examples are seen again. It changes no batch.
    """
    ahead = EncodedAhead(backbone, corpus, workspace.cache)
    on_accelerator, size = backbone.device.type != "cpu", ahead.bytes_for(examples)
    pays = len(examples) <= MOST and (on_accelerator or seen > len(examples))
    chosen = processes().gather(pays and size + SPARE < _free(workspace.cache))[0]
    how = "ahead" if chosen else "on demand"
    workspace.log({"event": "encode", "how": how, "n": len(examples), "gb": round(size / 1e9, 3)})
    if not chosen:
        yield OnDemand(backbone, corpus)
        return
    ahead.prepare(examples, workspace)
    if on_accelerator:
        backbone.encoders_to("cpu")
    try:
        yield ahead
    finally:
        if on_accelerator:
            backbone.encoders_to(str(backbone.device))


def _openers(example: Example) -> list[Opener]:
    return [opener for opener in (example.positive, example.negative) if opener]


def _free(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free


def _kept(codes: Codes) -> Codes:
    return {name: code.detach().cpu().contiguous() for name, code in codes.items()}


def _bytes(codes: Codes) -> int:
    return sum(code.nbytes for code in codes.values())


def _write(file: Path, codes: Codes) -> None:
    with in_turn(file.parent):
        write_atomically(file, save(codes))


def _read(file: Path) -> Codes:
    try:
        codes: Codes = load_file(file)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"The encoded example {file} is damaged or gone; delete it and run again to encode it "
            "anew."
        ) from error
    return codes
