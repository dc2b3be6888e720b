"""Words that a backbone learns: vectors of their own wherever prompts say them.

Nothing else of a text encoder moves, and what does not say a learned word is read as before.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from bench.errors import UserError
from bench.methods.backbones.backbone import Text
from bench.store import write_atomically


class Vocabulary(Protocol):
    """What turns text into indices before a text encoder sees it."""

    def add(self, word: str) -> int:
        """The index of a word, which is a new one where the word is."""
        ...

    def indices(self, text: str) -> list[int]:
        """Those of a text's words, nothing put around them."""
        ...


class Reader:
    """A text encoder with its vocabulary; learned vectors stand in for what it embeds.

    The network is told another index in their place: CLIP's looks for the largest one. ``scale``:
    what ``embedding`` multiplies its rows by before it gives them out.
    """

    def __init__(
        self,
        encoder: nn.Module,
        embedding: nn.Embedding,
        vocabulary: Vocabulary,
        scale: float = 1.0,
    ) -> None:
        self.embedding, self.vocabulary, self.scale = embedding, vocabulary, scale
        self.vectors: dict[int, nn.Parameter] = {}
        self._taught: set[int] = set()
        encoder.requires_grad_(False)
        encoder.register_forward_pre_hook(self._hide)
        embedding.register_forward_hook(self._show)

    def add(self, word: str, like: str) -> nn.Parameter:
        """A vector (D,) that starts as the mean of what a text's words are embedded as."""
        known = torch.tensor(self.vocabulary.indices(like), device=self.embedding.weight.device)
        vector = nn.Parameter(self.embedding.weight[known].float().mean(dim=0).detach().clone())
        index = self.vocabulary.add(word)
        self.vectors[index] = vector
        self._taught.add(index)
        return vector

    def remove(self, word: str) -> None:
        self.vectors.pop(self.vocabulary.add(word), None)

    def _hide(self, encoder: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        self._said = indices = arguments[0]
        for index in self._taught:
            indices = torch.where(indices == index, 0, indices)
        return indices, *arguments[1:]

    def _show(self, embedding: nn.Module, arguments: tuple[Any, ...], embedded: Tensor) -> Tensor:
        for index, vector in self.vectors.items():
            there = (self._said == index)[..., None]
            embedded = torch.where(there, (vector * self.scale).to(embedded), embedded)
        return embedded


class Words:
    """What a backbone's text encoders learn together; ``encode`` keeps gradients.

    ``pooled``: whether ``Text.pooled`` says what the whole prompt means, as it does but for SANA.
    """

    def __init__(
        self,
        encode: Callable[[list[str]], Text],
        readers: Mapping[str, Reader],
        pooled: bool = True,
    ) -> None:
        self.encode, self.readers, self.pooled = encode, readers, pooled

    def add(self, word: str, like: str) -> dict[str, nn.Parameter]:
        """A vector for each text encoder, by names that ``save`` knows them by."""
        return {f"{word}.{name}": reader.add(word, like) for name, reader in self.readers.items()}

    def remove(self, word: str) -> None:
        for reader in self.readers.values():
            reader.remove(word)


@runtime_checkable
class LearnsWords(Protocol):
    """A backbone that can be taught words; None where no one has said how."""

    words: Words | None


def save_words(vectors: Mapping[str, nn.Parameter], path: Path) -> None:
    """Write vectors (D,) by name as safetensors."""
    kept = {name: vector.detach().cpu().contiguous() for name, vector in vectors.items()}
    write_atomically(path, save(kept))


def load_words(vectors: Mapping[str, nn.Parameter], path: Path) -> None:
    """Fill vectors with what ``save_words`` wrote. UserError when it cannot be read or differs."""
    try:
        kept = load_file(path)
        with torch.no_grad():
            for name, vector in vectors.items():
                vector.copy_(kept[name])
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise UserError(
            f"The learned words {path} are damaged, gone or of another training; delete its folder "
            "to train anew."
        ) from error
