"""Fine-tuned weights of a network: an adapter of another kind, whose scale is interpolation.

At scale s the network has theta + s (theta' - theta), theta being its own weights: at 0 it is the
pre-trained one and at 1 the fine-tuned one, both to the bit. Unlike a LoRA, theta' takes as much
memory again as what is tuned, and the weights in between as much once more while they act.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.errors import UserError
from bench.methods.backbones import lora
from bench.methods.backbones.backbone import OFF, Precision, Weights
from bench.store import write_atomically

ALL = ".*"
_ADDED = re.compile(r"\.lora_|_ip\.|^encoder_hid_proj\.")
"""What LoRAs and image prompts have put into a network, which is not its own."""
_FOLDERS = ("", "unet", "transformer")
_FILE, _SHARDS = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model-*.safetensors"


@dataclass(frozen=True)
class _Slot:
    """Where a weight stands in the network, and the network's own."""

    module: nn.Module
    leaf: str
    own: nn.Parameter


class FullWeights:
    """Fine-tuned weights by name, kept beside the network's own, which they replace while acting.

    They act on all that passes through the network, whatever tokens these are.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._tuned: dict[str, dict[str, nn.Parameter]] = {}
        self._slots: dict[str, _Slot] = {}
        self._now: Weights = OFF

    @property
    def names(self) -> set[str]:
        return set(self._tuned)

    def add(self, name: str, only: str = ALL, precision: Precision = "fp32") -> None:
        """A copy of the weights whose whole names match ``only``. ValueError for a name twice."""
        if name in self._tuned:
            raise ValueError(f"the backbone has weights of that name: {name}")
        own = _own(self._network)
        chosen = {path: own[path].own for path in own if re.fullmatch(only, path)}
        self._keep(name, own, chosen, precision)

    def load(self, name: str, path: Path, precision: Precision = "fp32") -> None:
        """Those of a safetensors file, or of a folder of diffusers, which has to hold all of them.

        UserError when it cannot be read or is of another network.
        """
        own, tensors = _own(self._network), _read(path)
        for key, tensor in tensors.items():
            if key not in own or tensor.shape != own[key].own.shape:
                raise UserError(
                    f"{path} was made for another backbone ('{key}' does not fit); give this one's."
                )
        if path.is_dir() and (missing := own.keys() - tensors.keys()):
            raise UserError(f"{path} lacks '{min(missing)}'; fetch or save it anew.")
        self._keep(name, own, tensors, precision)

    def _keep(
        self,
        name: str,
        own: Mapping[str, _Slot],
        tensors: Mapping[str, Tensor],
        precision: Precision,
    ) -> None:
        self._slots |= {path: own[path] for path in tensors}
        self._tuned[name] = {
            path: nn.Parameter(
                tensor.detach().to(own[path].own.device, lora.DTYPES[precision], copy=True),
                requires_grad=False,
            )
            for path, tensor in tensors.items()
        }

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """By the names that diffusers gives them; empty where none has this name."""
        return dict(self._tuned.get(name, {}))

    def save(self, name: str, path: Path) -> None:
        """As safetensors, which ``load_state_dict`` of the stock network reads."""
        tuned = self._tuned[name]
        write_atomically(path, save({key: value.cpu().detach() for key, value in tuned.items()}))

    def remove(self, name: str) -> None:
        del self._tuned[name]

    @contextmanager
    def acting(self, weights: Weights) -> Iterator[None]:
        """Within, the network has the weights that these scales say; other adapters are ignored."""
        wanted = {name: scale for name, scale in weights.items() if name in self._tuned}
        before, self._now = self._now, wanted
        if wanted != before:
            self._put(wanted)
        try:
            yield
        finally:
            self._now = before
            if wanted != before:
                self._put(before)

    def _put(self, wanted: Weights) -> None:
        for path, slot in self._slots.items():
            tuned = [
                (self._tuned[name][path], scale)
                for name, scale in wanted.items()
                if scale and path in self._tuned[name]
            ]
            # past __setattr__, which takes parameters alone: gradients must reach the tuned ones
            slot.module._parameters[slot.leaf] = interpolated(slot.own, tuned)  # type: ignore[assignment]

    def checkpointed(self, module: Callable[..., Any], *arguments: Any) -> Any:
        """Activation checkpointing whose second pass has the weights of the first."""
        weights = self._now

        def again(*arguments: Any) -> Any:
            with self.acting(weights):
                return module(*arguments)

        return checkpoint(again, *arguments, use_reentrant=False)


def interpolated(own: Tensor, tuned: Sequence[tuple[Tensor, float]]) -> Tensor:
    """theta + sum of s (theta' - theta), in the type of theta; what lies between, in fp32."""
    if not tuned:
        return own
    (first, scale), *others = tuned
    value = first if scale == 1 else torch.lerp(own.float(), first.float(), scale)
    for other, scale in others:
        value = value + scale * (other.float() - own.float())
    return value.to(own.dtype)


class TakesFullWeights:
    """The part of a backbone that has to do with them, the same for every family."""

    _full: FullWeights

    def add_weights(self, name: str, only: str = ALL, precision: Precision = "fp32") -> None:
        """A copy of the network's weights to be tuned; it changes nothing until it is trained."""
        self._full.add(name, only, precision)

    def load_weights(self, name: str, path: Path, precision: Precision = "fp32") -> None:
        """Fine-tuned weights from a file, or from a folder as diffusers saves networks.

        UserError when they cannot be read or do not fit.
        """
        self._full.load(name, path, precision)


def _own(network: nn.Module) -> dict[str, _Slot]:
    """The network's own weights by the names that they have without any adapter."""
    return {
        path.replace(".base_layer", ""): _Slot(module, leaf, parameter)
        for prefix, module in network.named_modules()
        for leaf, parameter in module._parameters.items()
        if parameter is not None and not _ADDED.search(path := f"{prefix}.{leaf}".lstrip("."))
    }


def _read(path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in _files(path):
        with lora.opened(file) as content:
            tensors |= {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
    return tensors


def _files(path: Path) -> list[Path]:
    """A file, or those of a network's folder or of a pipeline's."""
    if not path.is_dir():
        return [path]
    for folder in (path / name for name in _FOLDERS):
        if found := [*folder.glob(_FILE)] or sorted(folder.glob(_SHARDS)):
            return found
    raise UserError(
        f"{path} holds no network as diffusers saves it ({_FILE}, also in unet/ or transformer/); "
        "give another folder, or a safetensors file."
    )
