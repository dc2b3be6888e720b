"""Personalization guidance as a guider, for diffusers' modular pipelines, which take one."""

from diffusers.configuration_utils import register_to_config
from diffusers.guiders import ClassifierFreeGuidance
from peft.tuners.lora import LoraLayer
from torch import nn


class PersonalizationGuidance(ClassifierFreeGuidance):
    """Classifier-free guidance whose answer without prompt is given by LoRAs at omega.

    omega = 1 is classifier-free guidance, omega = 0 has the pre-trained model answer. Scales are
    those the pipeline has set, and are set again after each pass; no weights are copied.
    Source: ``guidance.Pg``.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        guidance_scale: float = 7.5,
        omega: float = 0.6,
        start: float = 0.0,
        stop: float = 1.0,
        enabled: bool = True,
    ) -> None:
        super().__init__(guidance_scale, start=start, stop=stop, enabled=enabled)
        self.omega = omega
        self._before: list[tuple[LoraLayer, dict[str, float]]] = []

    def prepare_models(self, denoiser: nn.Module) -> None:
        """Before each pass; the one under the prompt comes first."""
        super().prepare_models(denoiser)
        if self.is_conditional:
            return
        for layer in (module for module in denoiser.modules() if isinstance(module, LoraLayer)):
            self._before.append((layer, dict(layer.scaling)))
            layer.scaling.update({name: s * self.omega for name, s in layer.scaling.items()})

    def cleanup_models(self, denoiser: nn.Module) -> None:
        """After each pass."""
        super().cleanup_models(denoiser)
        for layer, scaling in self._before:
            layer.scaling.update(scaling)
        self._before.clear()
