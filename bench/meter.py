"""How far pieces of work have come, told as the progress of the whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.api import Progress
from bench.drawing import GENERATE
from bench.pieces import Job, Kind, Piece

SUMMED: dict[Kind, tuple[str, str]] = {"draw": (GENERATE, "generate"), "look": ("Scoring", "score")}
"""What workers call the images that they draw or look at, and what the sum of these is called."""


@dataclass
class Meter:
    """Sums what is told of images over ``pieces``, and passes on what is told of trainings."""

    progress: Progress
    jobs: Sequence[Job]
    pieces: Sequence[Piece]
    _images: dict[str, int] = field(default_factory=dict, init=False)

    def told(self, piece: Piece, title: str, done: int, total: int) -> None:
        """A worker has come so far with a piece."""
        inner, outer = SUMMED.get(piece.kind, ("", ""))
        if title == inner:
            self._count(piece, outer, done)
        elif piece.kind != "look" and title:
            self.progress(self._named(title, piece), done, total)

    def finished(self, piece: Piece) -> None:
        if piece.kind in SUMMED:
            self._count(piece, SUMMED[piece.kind][1], piece.stop - piece.start)

    def _count(self, piece: Piece, title: str, images: int) -> None:
        """Images that stood there before anything began count as done."""
        wanted = sum(one.stop - one.start for one in self.pieces)
        before = sum(len(self.jobs[job].plan.cases) for job in self._drawing()) - wanted
        self._images[piece.key] = max(images, self._images.get(piece.key, 0))
        done = sum(self._images.values())
        rest = before if piece.kind == "draw" else 0
        self.progress(title, rest + done, rest + wanted)

    def _drawing(self) -> set[int]:
        return {piece.job for piece in self.pieces}

    def _named(self, title: str, piece: Piece) -> str:
        """With its method where several are trained at once."""
        several = len(self._drawing()) > 1
        return f"{title} [{piece.job + 1}]" if several else title
