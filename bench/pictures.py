"""Any image file as RGB: the one place that settles orientation, transparency, depth and colours.

Files are taken for what their bytes say, whatever their suffix.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from bench.api import Frozen
from bench.errors import UserError

READING = 1
"""Raised whenever the same file would become other pixels: part of every key made from pixels."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
"""What is read; Pillow knows more, some of which start other programs."""

LARGEST = 512 << 20
"""Bytes of a file, which is held in memory whole."""
ORIENTATION = 0x0112
JPEG_SCAN, JPEG_END = b"\xff\xda", b"\xff\xd9"
PNG_END = b"IEND\xaeB\x60\x82"


class Unreadable(UserError):
    """A file that is no whole image; ``reason`` says why in a few words."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The image {path} cannot be read ({reason}); make it again, best as an 8-bit RGB PNG."
        )
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        """Errors of workers come back through a pipe, made anew of what they were made of."""
        return type(self), (self.path, self.reason)


class Header(Frozen):
    """What an image file says of itself; ``size`` is (width, height) in pixels, upright."""

    format: str
    mode: str
    """Pillow's name of how pixels are stored: ``RGB``, ``L``, ``I;16``, ``CMYK``, ..."""
    size: tuple[int, int]
    has_alpha: bool
    frames: int


def content_of(path: Path) -> bytes:
    """All bytes of a file. Unreadable where they are too many, and for a pipe or a device."""
    with _explained(path), _plain_file(path).open("rb") as file:
        content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"it has more than {LARGEST >> 20} MB")
        return content


def _plain_file(path: Path) -> Path:
    """The path itself. ValueError for what opening or reading might never come back from."""
    if path.exists() and not path.is_file():
        raise ValueError("it is a folder" if path.is_dir() else "it is a pipe or a device")
    return path


def read(path: Path) -> Image.Image:
    """The first frame as RGB, (H, W, 3) in 0..255: upright, transparency on white.

    16-bit greyscale is scaled by 257; CMYK is converted by Pillow's formula, without a colour
    profile. Unreadable for a file that is no image, is cut off, has pixels of unknown range, or
    would fill more memory than Pillow allows.
    """
    with _explained(path), _plain_file(path).open("rb") as file, _opened(file) as image:
        return _on_white(_eight_bits(ImageOps.exif_transpose(image)))


def describe(path: Path) -> Header:
    """The header alone; Unreadable for a file that has none."""
    with _explained(path), _plain_file(path).open("rb") as file, _opened(file) as image:
        return _header(image)


def inspect(path: Path, content: bytes) -> Header:
    """The header of a file whose bytes are at hand, which must be a whole image.

    PNG is judged by its checksums, JPEG by its end marker and WebP by its lengths, without
    decoding; the rest, which has nothing of the kind, is decoded. Unreadable as for ``read``.
    """
    with _explained(path), _opened(io.BytesIO(content)) as image:
        header = _header(image)
        _demand_whole(image, content)
        return header


@contextmanager
def _opened(file: BinaryIO) -> Iterator[Image.Image]:
    """Never by path: Pillow maps such files into memory and garbles grey TIFFs that lie."""
    # Other packages switch this on for the whole process: what is missing would be grey.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with Image.open(file, formats=FORMATS) as image:
        yield image


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        raise Unreadable(path, _reason(error)) from error


def _reason(error: Exception) -> str:
    match error:
        case UnidentifiedImageError():
            return "it is no PNG, JPEG, WebP, BMP, TIFF or GIF"
        case FileNotFoundError():
            return "there is no such file"
        case Image.DecompressionBombError():
            return f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
        case OSError(strerror=str(reason)):
            return reason.lower()
        case ValueError():
            return str(error)
        case _ if "truncated" in str(error).lower():
            return "it is cut off"
        case _:
            return f"it is damaged: {error or type(error).__name__}"


def _header(image: Image.Image) -> Header:
    width, height = image.size
    return Header(
        format=image.format or "",
        mode=image.mode,
        size=(height, width) if _lies(image) else (width, height),
        has_alpha=image.has_transparency_data,
        frames=getattr(image, "n_frames", 1),
    )


def _lies(image: Image.Image) -> bool:
    """Whether the stored image lies on its side."""
    if image.format == "TIFF":  # Pillow gives the upright size
        return False
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would decode to search on
        return False
    return int(image.getexif().get(ORIENTATION, 1)) >= 5


def _demand_whole(image: Image.Image, content: bytes) -> None:
    match image.format:
        case "PNG":
            image.verify()
            if PNG_END not in content:
                raise ValueError("it is cut off")
        case "JPEG" | "MPO":
            # A thumbnail has an end marker too, so the last one has to follow the last scan; what
            # cameras append may look like a scan, and then decoding tells.
            if content.rfind(JPEG_END) <= content.rfind(JPEG_SCAN):
                image.load()
        case "WEBP":
            pass  # opening it has compared its length
        case _:
            image.load()
            _eight_bits(image)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit greyscale as 8 bits, which Pillow would clip at 255."""
    if image.mode == "F":
        raise ValueError("its pixels are fractions of unknown range")
    if not image.mode.startswith("I"):
        return image
    levels = np.asarray(image).astype(np.int64)
    if levels.min() < 0 or levels.max() > 0xFFFF:
        raise ValueError("its pixels are integers beyond 16 bits")
    if (transparent := image.info.get("transparency")) is not None:
        levels[levels == transparent] = 0xFFFF
    return Image.fromarray(((levels + 128) // 257).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
