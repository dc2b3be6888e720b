"""What acts in a UNet during one call: which adapters, and how strongly it sees a reference.

With checkpointing, activations are computed again in the backward pass, long after the call; they
are computed under what the call was made under, whatever was asked of the network since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from bench.methods.backbones.full import FullWeights

Scale = float | tuple[float, ...]
"""Of an adapter in one call; or one for each row of the batch."""
Scales = Mapping[str, Scale]


@dataclass(frozen=True)
class Acting:
    """Adapters by name with their scale, and the scale of the image prompt; by default none."""

    weights: Scales = field(default_factory=dict)
    image: float = 0.0


class Rows:
    """Stands for PEFT's factor of a LoRA where every row of a batch has its own."""

    def __init__(self, factors: Tensor) -> None:
        self._factors = factors

    def __rmul__(self, update: Tensor) -> Tensor:
        factors = self._factors.to(update)
        return update * factors.view(-1, *[1] * (update.ndim - 1))


def _scale(layer: LoraLayer, name: str, scale: Scale) -> None:
    if isinstance(scale, float | int):
        layer.set_scale(name, scale)
        return
    layer.set_scale(name, 1.0)
    if name in layer.scaling:
        layer.scaling[name] = cast(float, Rows(torch.tensor(scale) * layer.scaling[name]))


class Switches:
    """The one place that turns a UNet's adapters on and off; PEFT's own would move gradients too.

    The network's activation checkpointing is on from here.
    """

    def __init__(self, unet: UNet2DConditionModel, full: FullWeights) -> None:
        self._unet, self._full = unet, full
        self.adapters_changed()
        unet.enable_gradient_checkpointing(self._checkpointed)

    def adapters_changed(self) -> None:
        """To be told whenever adapters were put in or taken away: none acts then."""
        modules = list(self._unet.modules())
        self._adapted = [module for module in modules if isinstance(module, LoraLayer)]
        self._seeing = [
            module for module in modules if isinstance(module, IPAdapterAttnProcessor2_0)
        ]
        self._set(Acting())

    def turn(self, wanted: Acting) -> None:
        """From here on this acts and nothing else; to be said before every call."""
        if wanted != self._now:
            self._set(wanted)

    def _set(self, wanted: Acting) -> None:
        self._now = wanted
        for layer in self._adapted:
            # set_adapter and enable_adapters would change what requires gradients
            layer._active_adapter = list(wanted.weights)
            for name, scale in wanted.weights.items():
                _scale(layer, name, scale)
        for processor in self._seeing:
            processor.scale = [wanted.image] * len(processor.scale)

    def _checkpointed(self, module: nn.Module, *arguments: Any) -> Any:
        wanted = self._now

        def again(*arguments: Any) -> Any:
            self.turn(wanted)
            return module(*arguments)

        return self._full.checkpointed(again, *arguments)
