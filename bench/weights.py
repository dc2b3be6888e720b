"""Weights on this machine: where they are, whether they are whole, and what they hash to.

The user's own lie in ``home()/weights/``, as ``NAME.safetensors``, ``NAME.pth`` or a folder
``NAME/``; the caches of the Hugging Face hub and of torch.hub are read as they are.
"""

import os
from pathlib import Path

from bench.digests import digest as digest
from bench.errors import UserError
from bench.mini.weights import weights_file
from bench.paths import home
from bench.sources import ByHand, Hub, Shipped, Source, Web, source


def find(name: str) -> Path:
    """The file or folder of an encoder, backbone or detector on this machine.

    UserError for an unknown name, and for weights that are not here, not whole, or not those whose
    digest was published.
    """
    known, found = source(name), present(name)
    published = known.published(found.name)
    if published and not digest(found).startswith(published):
        raise UserError(
            f"The weights {found} are not the published ones of '{name}' (SHA-256 {published[:8]}"
            f"...); remove the file and run 'bench weights fetch {name}' ({known.terms})."
        )
    return found


def present(name: str) -> Path:
    """As ``find``, whatever the file's digest."""
    known = source(name)
    found = here(known)
    if found is None:
        raise UserError(absence(known))
    return found


def here(known: Source) -> Path | None:
    """Where weights lie: the user's own copy first, then the caches; None when nowhere whole."""
    match known.place:
        case Shipped(file=file):
            path = weights_file(file)
            return path if path.is_file() else None
        case Hub() as hub:
            return own(known) or _in_hub_cache(known, hub)
        case Web() as web:
            return own(known) or _in_torch_cache(known, web)
        case ByHand():
            return own(known)


def own(known: Source) -> Path | None:
    """The user's own copy, if it is whole."""
    folder = home() / "weights"
    if known.is_folder:
        path = folder / known.name
        return path if path.is_dir() and not lacking(path, known) else None
    files = (folder / f"{known.name}.{kind}" for kind in known.formats)
    return next((path for path in files if path.is_file()), None)


def lacking(folder: Path, known: Source) -> list[str]:
    """The patterns of needed files that nothing in a folder matches."""
    return [pattern for pattern in known.files if not any(folder.glob(pattern))]


def absence(known: Source) -> str:
    """The one sentence on weights that are not here: what is amiss, and what to do."""
    folder = home() / "weights" / known.name
    if known.is_folder and folder.is_dir():
        return (
            f"The weights of '{known.name}' in {folder} lack {', '.join(lacking(folder, known))}: "
            f"remove them and run 'bench weights fetch {known.name}' ({known.terms})."
        )
    state = f"The weights of '{known.name}' are not on this machine"
    if isinstance(known.place, ByHand | Shipped):
        return f"{state}: {known.by_hand}."
    return (
        f"{state}: run 'bench weights fetch {known.name}' ({known.terms}), or 'bench weights add "
        f"{known.name} PATH' with a copy that you have."
    )


def _in_hub_cache(known: Source, hub: Hub) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    first = known.files[0] if known.is_folder else hub.files[0]
    found = try_to_load_from_cache(hub.repository, first)
    if not isinstance(found, str):
        return None
    if not known.is_folder:
        return Path(found)
    snapshot = Path(found).parents[first.count("/")]
    return None if lacking(snapshot, known) else snapshot


def _in_torch_cache(known: Source, web: Web) -> Path | None:
    """Where torch.hub keeps single files; torch itself is not needed to know."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    cache = Path(os.environ.get("TORCH_HOME") or base).expanduser() / "hub" / "checkpoints"
    path = cache / web.file
    return path if path.is_file() and not known.is_folder else None
