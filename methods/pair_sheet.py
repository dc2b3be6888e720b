"""Pictures of pairs: a row per triplet with its candidates, beside a histogram of likeness."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench.methods.similarity import Similarity

CELL, GAP, LINE = 128, 10, 16
WIDTH, HEIGHT, EDGE = 460, 260, 40
"""Of the histogram, in pixels, and the room around it for its numbers."""
BINS = 30
COLOURS = ((31, 95, 170), (214, 96, 38), (60, 140, 80), (140, 80, 160))
"""One per source, in the histogram and above its columns; they come round again."""
BELOW = "Below a negative: its similarity to the positive (to the reference)."
FONT = ImageFont.load_default(12)


@dataclass(frozen=True)
class Source:
    """What candidates come from, in a few lines, and how alike each is to its positive."""

    said: Sequence[str]
    cosines: Sequence[float]


@dataclass(frozen=True)
class Candidate:
    """An image, the number of its source, and how alike it is to positive and reference."""

    image: Image.Image
    source: int
    likeness: Similarity


@dataclass(frozen=True)
class Row:
    """A triplet's images and prompt, and candidates of every source and draw."""

    prompt: str
    reference: Image.Image
    positive: Image.Image
    candidates: Sequence[Candidate]


def draw_sheet(rows: Sequence[Row], sources: Sequence[Source]) -> Image.Image:
    """Rows as they come on the left; histogram and sources on the right."""
    grid, plot, legend = _grid(rows), histogram([s.cosines for s in sources]), _legend(sources)
    height = max(grid.height, plot.height + legend.height)
    page = Image.new("RGB", (grid.width + plot.width, height), "white")
    page.paste(grid, (0, 0))
    page.paste(plot, (grid.width, 0))
    page.paste(legend, (grid.width, plot.height))
    return page


def _grid(rows: Sequence[Row]) -> Image.Image:
    candidates = rows[0].candidates
    size = (_x(2 + len(candidates)), _y(len(rows)))
    grid = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(grid)
    for column, title in enumerate(("reference", "positive")):
        pen.text((_x(column), 4), title, fill="black", font=FONT)
    for column, one in enumerate(candidates, start=2):
        number = f" {one.likeness.draw + 1}" if one.likeness.draw else ""
        title = f"negative {letter(one.source)}{number}"
        pen.text((_x(column), 4), title, fill=_colour(one.source), font=FONT)
    for place, row in enumerate(rows):
        _fill(grid, place, row)
    return grid


def _fill(grid: Image.Image, place: int, row: Row) -> None:
    pen, y = ImageDraw.Draw(grid), _y(place)
    images = [row.reference, row.positive, *(one.image for one in row.candidates)]
    for column, image in enumerate(images):
        grid.paste(_cell(image), (_x(column), y))
    pen.text((_x(0), y + CELL + 2), _shortened(row.prompt), fill="black", font=FONT)
    for column, one in enumerate(row.candidates, start=2):
        alike = f"{one.likeness.to_target:.2f}  (ref. {one.likeness.to_reference:.2f})"
        pen.text((_x(column), y + CELL + 2), alike, fill=_colour(one.source), font=FONT)


def _cell(image: Image.Image) -> Image.Image:
    """Small images keep their pixels, large ones are averaged."""
    small = max(image.size) < CELL
    return image.resize(
        (CELL, CELL), Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    )


def _shortened(prompt: str) -> str:
    """As much as fits under reference and positive."""
    room = 2 * CELL + GAP
    while FONT.getlength(prompt) > room:
        prompt = prompt.rstrip("…")[:-1] + "…"
    return prompt


def histogram(cosines: Sequence[Sequence[float]]) -> Image.Image:
    """Shares of pairs by the similarity of positive and negative, sources over each other."""
    edges = np.linspace(min(map(min, cosines)), 1.0, BINS + 1)
    shares = [np.histogram(values, edges)[0] / len(values) for values in cosines]
    top = max(float(share.max()) for share in shares)
    plot = Image.new("RGB", (WIDTH, HEIGHT), "white")
    for source, share in enumerate(shares):
        plot = _bars(plot, share / top, _colour(source))
    pen = ImageDraw.Draw(plot)
    pen.line([(EDGE, HEIGHT - EDGE), (WIDTH - EDGE, HEIGHT - EDGE)], fill="black")
    for part in np.linspace(0, 1, 5):
        x = EDGE + part * (WIDTH - 2 * EDGE)
        cosine = edges[0] + part * (1.0 - edges[0])
        pen.text((x, HEIGHT - EDGE + 4), f"{cosine:.2f}", fill="black", font=FONT, anchor="ma")
    title = f"similarity of positive and negative (highest bar: {top:.0%} of pairs)"
    pen.text((EDGE, HEIGHT - EDGE + 4 + LINE), title, fill="black", font=FONT)
    return plot


def _bars(
    plot: Image.Image,
    heights: np.ndarray[tuple[int], np.dtype[np.float64]],
    colour: tuple[int, ...],
) -> Image.Image:
    """Half transparent, so that what lies behind is seen."""
    layer = Image.new("RGBA", plot.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    step, room = (WIDTH - 2 * EDGE) / BINS, HEIGHT - EDGE - GAP
    for place, height in enumerate(heights):
        if height:
            left, bottom = EDGE + place * step, HEIGHT - EDGE
            box = (left, bottom - height * room, left + step - 1, bottom)
            pen.rectangle(box, fill=(*colour, 120), outline=(*colour, 255))
    return Image.alpha_composite(plot.convert("RGBA"), layer).convert("RGB")


def _legend(sources: Sequence[Source]) -> Image.Image:
    lines = [(BELOW, (0, 0, 0))]
    for number, source in enumerate(sources):
        mean = f"mean {np.mean(source.cosines):.3f}, n = {len(source.cosines)}"
        lines += [(f"{letter(number)}: {source.said[0]}", _colour(number))]
        lines += [(f"    {line}", (0, 0, 0)) for line in (*source.said[1:], mean)]
    legend = Image.new("RGB", (WIDTH, GAP + LINE * len(lines)), "white")
    pen = ImageDraw.Draw(legend)
    for place, (line, fill) in enumerate(lines):
        pen.text((EDGE, GAP + LINE * place), line, fill=fill, font=FONT)
    return legend


def letter(source: int) -> str:
    """What a source is called on the sheet: A, B, ..."""
    return chr(ord("A") + source)


def _colour(source: int) -> tuple[int, int, int]:
    return COLOURS[source % len(COLOURS)]


def _x(column: int) -> int:
    return GAP + column * (CELL + GAP)


def _y(row: int) -> int:
    return LINE + GAP + row * (CELL + LINE + GAP)
