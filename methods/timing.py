"""How long a backbone and an encoder take on this machine, for `bench bench`.

What is shown to them does not matter: they take as long for any picture.
"""

import io
import time
from collections.abc import Callable
from datetime import date
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.cost.devices import device_at_hand, processor
from bench.cost.throughput import Speed
from bench.errors import UserError
from bench.methods.backbones.backbone import OFF, Backbone, Condition
from bench.methods.sampling import to_images, to_tensor

PROMPT = "a photo of a red car on a beach"
ADAPTER, RANK = "measured", 4
TRAINED = 4
"""Images in one pass of a training, or as many as are drawn together."""
FEW = 2
"""Steps that are enough to time what comes before and after them."""
ENCODED = 32
"""Images shown to an encoder at once, as scoring shows them."""


def backbone_speed(name: str, backbone: Any, seconds: float = 2.0) -> Speed:
    """Passes, a training and images of a backbone, each measured for ``seconds`` at least.

    UserError for one that draws with a pipeline of its own.
    """
    if not isinstance(backbone, Backbone):
        raise UserError(
            f"The backbone {name} draws with a pipeline of its own, whose passes are not measured; "
            "choose another --backbone."
        )
    batch = backbone.spec.batch
    alone, seeing = _condition(backbone, batch, False), _condition(backbone, batch, True)
    found = {"alone": _per_image(_forth(backbone, alone, batch), batch, seconds)}
    if seeing is not None:
        found["seeing"] = _per_image(_forth(backbone, seeing, batch), batch, seconds)
    found["training"] = _training(backbone, min(TRAINED, batch), seconds)
    return Speed(
        kind="backbone",
        name=name,
        digest=backbone.spec.digest,
        device=_device(backbone.device.type),
        dtype=str(backbone.dtype).removeprefix("torch."),
        date=date.today(),
        **_drawn(backbone, found, batch, seconds),
    )


def encoder_speed(name: str, encoder: Any, seconds: float = 2.0) -> Speed:
    """Images that an encoder is shown. UserError when its weights are not here."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    images = [Image.fromarray(noise)] * ENCODED

    def look() -> None:
        encoder.encode_images([encoder.prepare(image) for image in images])

    return Speed(
        kind="encoder",
        name=name,
        digest=encoder.digest,
        device=_device("cuda" if torch.cuda.is_available() else "cpu"),
        dtype=encoder.precision,
        date=date.today(),
        seconds={"image": _per_image(look, ENCODED, seconds)},
    )


def _condition(backbone: Backbone, count: int, seeing: bool) -> Condition | None:
    """None where a reference is asked for and the backbone sees none."""
    text = backbone.encode_prompts([PROMPT] * count)
    if not seeing:
        return Condition(text, None)
    side = backbone.spec.resolution
    grey = to_tensor([Image.new("RGB", (side, side), "grey")] * count, side)
    try:
        return Condition(text, backbone.encode_references(grey, _generators(count)))
    except UserError:
        return None


def _forth(backbone: Backbone, condition: Condition, count: int) -> Callable[[], object]:
    x = backbone.noise(_generators(count))
    t = torch.full((count,), 0.5, device=x.device, dtype=x.dtype)

    @torch.no_grad()
    def forth() -> object:
        return backbone.predict(x, t, condition, OFF)

    return forth


def _training(backbone: Backbone, count: int, seconds: float) -> float:
    """Forth and back through a LoRA that is taken away again."""
    condition = _condition(backbone, count, False)
    assert condition is not None
    x = backbone.noise(_generators(count))
    t = torch.full((count,), 0.5, device=x.device, dtype=x.dtype)
    backbone.add_adapter(ADAPTER, RANK, 0, "image")
    for parameter in backbone.adapter_parameters(ADAPTER).values():
        parameter.requires_grad_(True)

    def step() -> None:
        backbone.predict(x, t, condition, {ADAPTER: 1.0}).float().square().mean().backward()

    try:
        return _per_image(step, count, seconds)
    finally:
        backbone.remove_adapter(ADAPTER)


def _drawn(
    backbone: Backbone, passes: dict[str, float], batch: int, seconds: float
) -> dict[str, Any]:
    """What an image takes beside its passes, and its size, which noise of few steps would raise."""
    spec = backbone.spec
    whole = _per_image(lambda: _images(backbone, batch, FEW, 1.0), batch, seconds)
    beside = max(whole - FEW * passes["alone"], 0.0)
    finished = _images(backbone, 1, spec.steps, spec.guidance or 1.0)
    return {"seconds": {**passes, "beside": beside}, "bytes_per_image": _size(finished[0])}


@torch.no_grad()
def _images(backbone: Backbone, count: int, steps: int, guidance: float) -> list[Image.Image]:
    condition = Condition(backbone.encode_prompts([PROMPT] * count), None)
    noise = backbone.noise(_generators(count))
    return to_images(backbone.decode(backbone.sample(condition, noise, OFF, steps, guidance)))


def _size(image: Image.Image) -> float:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return float(buffer.tell())


def _per_image(work: Callable[[], object], count: int, seconds: float) -> float:
    """The median of as many as take ``seconds``, after one that warms up."""
    _timed(work)
    times: list[float] = []
    while not times or sum(times) < seconds:
        times.append(_timed(work))
    return median(times) / count


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def _device(kind: str) -> str:
    found = device_at_hand() if kind != "cpu" else None
    return (found or processor()).name
