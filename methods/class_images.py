"""What the plain backbone makes of a class: drawn once and shared by every subject of it."""

from PIL.Image import Image

from bench.api import Workspace
from bench.identity import identity, seed_of
from bench.methods.backbones.backbone import OFF
from bench.methods.text_to_image import TextToImage
from bench.store import ImageStore, in_turn


def class_images(
    model: TextToImage, prompt: str, count: int, seed: int, workspace: Workspace
) -> list[Image]:
    """``count`` images of a prompt, kept by identity; a killed drawing goes on where it was.

    UserError names kept images that are damaged.
    """
    folder = workspace.cache / "class-images" / _identity(model, prompt, count, seed)[:16]
    with in_turn(folder, workspace.progress):
        store = ImageStore(folder)
        store.verify()
        _draw_missing(model, prompt, _seeds(prompt, count, seed), store, workspace)
    workspace.log({"event": "class images", "folder": folder.name, "n": count})
    return [store.open(_file(number)) for number in range(count)]


def _draw_missing(
    model: TextToImage, prompt: str, seeds: list[int], store: ImageStore, workspace: Workspace
) -> None:
    """In fixed groups, each drawn whole, so that resuming changes no image."""
    size = model.backbone.spec.batch
    for start in range(0, len(seeds), size):
        group = seeds[start : start + size]
        files = [_file(start + place) for place in range(len(group))]
        if not store.has_all(files):
            drawn = model.draw([prompt] * len(group), group, OFF)
            store.put_all(dict(zip(files, drawn, strict=True)))
        workspace.progress("class images", start + len(group), len(seeds))


def _identity(model: TextToImage, prompt: str, count: int, seed: int) -> str:
    spec = model.backbone.spec
    sampling = [model.steps, model.guidance, spec.resolution, spec.batch]
    return identity(
        {
            "backbone": spec.digest,
            "sampling": sampling,
            "prompt": prompt,
            "count": count,
            "seed": seed,
        }
    )


def _seeds(prompt: str, count: int, seed: int) -> list[int]:
    return [seed_of(seed, "class image", prompt, number) for number in range(count)]


def _file(number: int) -> str:
    return f"{number:04d}.png"
