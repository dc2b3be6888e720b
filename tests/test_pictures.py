"""Every kind of image file becomes the RGB pixels that a person would see, or one clear error."""

import io
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from bench.pictures import Header, Unreadable, describe, inspect, read

WHITE = (255, 255, 255)
GRADIENT = np.arange(3 * 24 * 16, dtype=np.int64).reshape(16, 24, 3) * 37 % 256


def colours(size: tuple[int, int] = (24, 16)) -> Image.Image:
    return Image.fromarray(GRADIENT.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], colour_type: int, samples: list[int], *extra: bytes) -> bytes:
    """A 16-bit PNG of one row, which Pillow does not write in colour."""
    row = b"\0" + np.array(samples, ">u2").tobytes()
    header = struct.pack(">IIBBBBB", *size, 16, colour_type, 0, 0, 0)
    body = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(row)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def pixels(path: Path) -> list[tuple[int, ...]]:
    """The first row."""
    image = read(path)
    assert image.mode == "RGB"
    return [tuple(pixel) for pixel in np.asarray(image)[0].tolist()]


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff"])
def test_lossless_files_are_read_to_the_last_bit(tmp_path: Path, suffix: str) -> None:
    path = saved(colours(), tmp_path / f"a.{suffix}")
    assert (np.asarray(read(path)) == GRADIENT).all()


def test_lossless_webp_is_read_to_the_last_bit(tmp_path: Path) -> None:
    path = saved(colours(), tmp_path / "a.webp", lossless=True)
    assert (np.asarray(read(path)) == GRADIENT).all()


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_files_are_read_as_their_decoder_gives_them(tmp_path: Path, suffix: str) -> None:
    path = saved(Image.new("RGB", (16, 16), (200, 100, 50)), tmp_path / f"a.{suffix}", quality=95)
    assert np.abs(np.asarray(read(path)).astype(int) - [200, 100, 50]).max() <= 3


def test_a_file_is_what_its_bytes_say_whatever_its_suffix(tmp_path: Path) -> None:
    path = saved(colours(), tmp_path / "a.jpg", format="PNG")
    assert (np.asarray(read(path)) == GRADIENT).all()
    assert describe(path).format == "PNG"


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_lying_photograph_is_shown_and_measured_upright(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    lying = Image.new("RGB", (48, 32), "black")
    lying.paste("white", (0, 0, 24, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the stored left is the real top
    path = saved(lying.convert(mode), tmp_path / f"a.{suffix}", exif=exif)
    image = read(path)
    assert image.size == describe(path).size == (32, 48)
    assert np.asarray(image)[:20].min() >= 250 and np.asarray(image)[28:].max() <= 5


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 0, 255))
    path = saved(image.convert(mode), tmp_path / "a.png")
    assert pixels(path) == [(0, 0, 0), WHITE]
    assert describe(path).has_alpha


def test_half_transparent_is_halfway_to_white(tmp_path: Path) -> None:
    path = saved(Image.new("RGBA", (1, 1), (200, 0, 100, 128)), tmp_path / "a.png")
    assert pixels(path) == [(227, 127, 177)]


@pytest.mark.parametrize(("mode", "key"), [("RGB", (10, 20, 30)), ("L", 20), ("1", 0)])
def test_a_colour_declared_transparent_becomes_white(tmp_path: Path, mode: str, key: Any) -> None:
    path = saved(Image.new(mode, (1, 1), key), tmp_path / "a.png", transparency=key)
    assert pixels(path) == [WHITE]
    assert describe(path).has_alpha


def test_grey_and_black_and_white_have_three_equal_channels(tmp_path: Path) -> None:
    assert pixels(saved(Image.new("L", (1, 1), 77), tmp_path / "l.png")) == [(77, 77, 77)]
    bits = Image.fromarray(np.array([[True, False]]))
    assert pixels(saved(bits, tmp_path / "1.png")) == [WHITE, (0, 0, 0)]


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 8, 7, 250, 150, 50])
    image.putpixel((1, 0), 1)
    assert pixels(saved(image, tmp_path / "a.png")) == [(9, 8, 7), (250, 150, 50)]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    levels = Image.fromarray(np.array([[0, 128, 129, 257 * 77, 40000, 65535]], np.uint16))
    path = saved(levels, tmp_path / f"a.{suffix}")
    assert [pixel[0] for pixel in pixels(path)] == [0, 0, 1, 77, 156, 255]
    assert describe(path).mode == "I;16"


def test_32_bit_grey_within_16_bits_is_scaled_too(tmp_path: Path) -> None:
    path = saved(Image.fromarray(np.array([[0, 257 * 77, 65535]], np.int32)), tmp_path / "a.tif")
    assert [pixel[0] for pixel in pixels(path)] == [0, 77, 255]


@pytest.mark.parametrize("look", [read, lambda path: inspect(path, path.read_bytes())])
@pytest.mark.parametrize(
    ("level", "reason"),
    [
        (np.int32(-1), "integers beyond 16 bits"),
        (np.int32(65536), "integers beyond 16 bits"),
        (np.float32(0.5), "fractions of unknown range"),
    ],
)
def test_levels_of_unknown_range_are_refused(
    tmp_path: Path, look: Callable[[Path], object], level: Any, reason: str
) -> None:
    path = saved(Image.fromarray(np.array([[level]])), tmp_path / "a.tif")
    with pytest.raises(Unreadable, match=reason):
        look(path)


def test_16_bits_in_colour_and_with_alpha(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png((1, 1), 2, [65535, 257 * 128, 257 * 77]))
    assert pixels(path) == [(255, 128, 77)]
    path.write_bytes(png((2, 1), 6, [0, 0, 0, 65535, 0, 0, 0, 0]))
    assert pixels(path) == [(0, 0, 0), WHITE]


def test_16_bit_grey_may_declare_a_transparent_level(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png((2, 1), 0, [1000, 1001], chunk(b"tRNS", struct.pack(">H", 1000))))
    assert pixels(path) == [WHITE, (4, 4, 4)]


def test_cmyk_jpeg_as_adobe_inverts_it_keeps_its_colours(tmp_path: Path) -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    path = saved(red, tmp_path / "a.jpg", quality=100)
    assert b"Adobe" in path.read_bytes()
    assert pixels(path)[0] == (255, 0, 0)
    assert describe(path).mode == "CMYK"


def test_cmyk_tiff_keeps_its_colours(tmp_path: Path) -> None:
    path = saved(Image.new("CMYK", (1, 1), (0, 255, 255, 51)), tmp_path / "a.tif")
    assert pixels(path) == [(204, 0, 0)]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_the_first_frame_of_several_counts(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert pixels(path) == [WHITE] * 8
    assert describe(path).frames == 2


def test_a_header_is_described_without_its_pixels(tmp_path: Path) -> None:
    content = encoded(colours(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(content[: content.index(b"IDAT") + 4])
    assert describe(path) == Header(
        format="PNG", mode="RGB", size=(24, 16), has_alpha=False, frames=1
    )


WHOLE = {
    "png": encoded(colours(), "PNG"),
    "jpeg": encoded(colours(), "JPEG"),
    "progressive": encoded(colours(), "JPEG", progressive=True),
    "webp": encoded(colours(), "WEBP"),
    "bmp": encoded(colours(), "BMP"),
    "tiff": encoded(colours(), "TIFF"),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File Read")
@pytest.mark.parametrize("kind", sorted(WHOLE))
def test_a_cut_off_file_is_found_wherever_it_ends(kind: str) -> None:
    content = WHOLE[kind]
    assert inspect(Path("whole"), content).size == (24, 16)
    for cut in range(len(content)):
        with pytest.raises(Unreadable):
            inspect(Path("cut"), content[:cut])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File Read")
@pytest.mark.parametrize("kind", sorted(WHOLE))
def test_the_lower_half_is_never_silently_grey(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as other packages do
    path = tmp_path / "half"
    path.write_bytes(WHOLE[kind][: len(WHOLE[kind]) * 2 // 3])
    with pytest.raises(Unreadable):
        read(path)


def test_a_thumbnail_does_not_hide_that_a_jpeg_is_cut_off() -> None:
    thumbnail = encoded(colours((8, 8)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    content = WHOLE["jpeg"][:2] + segment + WHOLE["jpeg"][2:]
    assert inspect(Path("whole"), content).format == "JPEG"
    with pytest.raises(Unreadable, match="cut off"):
        inspect(Path("cut"), content[:-2])


def test_what_is_appended_to_a_whole_file_does_no_harm() -> None:
    assert inspect(Path("a"), WHOLE["jpeg"] + b"\xff\xda trailer").size == (24, 16)
    assert inspect(Path("a"), WHOLE["png"] + b"trailer").size == (24, 16)


def test_a_flipped_bit_in_a_png_is_found_by_its_checksum() -> None:
    content = bytearray(WHOLE["png"])
    content[content.index(b"IDAT") + 20] ^= 1
    with pytest.raises(Unreadable, match="damaged"):
        inspect(Path("a.png"), bytes(content))


@settings(deadline=None)
@given(kind=st.sampled_from(sorted(WHOLE)), at=st.integers(0), value=st.integers(0, 255))
@pytest.mark.filterwarnings("ignore")
def test_damage_anywhere_is_an_error_of_one_kind_or_none(kind: str, at: int, value: int) -> None:
    content = bytearray(WHOLE[kind])
    content[at % len(content)] = value
    try:
        assert inspect(Path("a"), bytes(content)).format
    except Unreadable as error:
        assert error.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no PNG, JPEG"),
        (b"this is text\n" * 50, "no PNG, JPEG"),
        (encoded(colours(), "EPS"), "no PNG, JPEG"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=rf"a\.png cannot be read \(it is {reason}.*make it again"):
        read(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="there is no such file"):
        read(tmp_path / "a.png")


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png((30000, 30000), 2, [0]))
    with pytest.raises(Unreadable, match="more than 179 million pixels"):
        read(path)


def test_why_it_cannot_be_read_is_told_across_processes() -> None:
    error = pickle.loads(pickle.dumps(Unreadable(Path("a.png"), "it is cut off")))
    assert (type(error), error.reason) == (Unreadable, "it is cut off")
    assert "a.png cannot be read (it is cut off)" in str(error)
