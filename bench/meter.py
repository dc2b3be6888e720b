"""How far pieces of work have come, told as the progress of the whole."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from bench.api import Progress
from bench.drawing import GENERATE
from bench.pieces import Job, Kind, Piece

SUMMED: dict[Kind, tuple[str, str]] = {"draw": (GENERATE, "generate"), "look": ("Scoring", "score")}
"""What workers call the images that they draw or look at, and what the sum of these is called."""
TOTALS = tuple(total for _, total in SUMMED.values())


class Meter:
    """Sums what is told of images over pieces of one kind, and passes on what trainings tell.

    Of several jobs each is told by its label, besides the sum.
    """

    def __init__(self, progress: Progress, jobs: Sequence[Job], pieces: Sequence[Piece]) -> None:
        self._progress, self._jobs, self._pieces = progress, jobs, pieces
        self._images: dict[str, tuple[int, int]] = {}

    def told(self, piece: Piece, title: str, done: int, total: int) -> None:
        """A worker has come so far with a piece."""
        if not title:
            return
        if title == SUMMED.get(piece.kind, ("",))[0]:
            self._count(piece, done)
        elif piece.kind != "look":
            self._progress(self._named(title, piece.job), done, total)

    def finished(self, piece: Piece) -> None:
        if piece.kind in SUMMED:
            self._count(piece, piece.stop - piece.start)

    def _count(self, piece: Piece, images: int) -> None:
        _, before = self._images.get(piece.key, (piece.job, 0))
        self._images[piece.key] = piece.job, max(images, before)
        title, done = SUMMED[piece.kind][1], self._there()
        for job, count in self._images.values():
            done[job] += count
        wanted = {job: len(self._jobs[job].plan.cases) for job in self._wanted}
        if len(wanted) > 1:
            job = piece.job
            self._progress(self._named(title, job), done[job], wanted[job])
        self._progress(title, sum(done.values()), sum(wanted.values()))

    def _there(self) -> Counter[int]:
        """Images by job that nobody has to draw, or to look at, any more."""
        cases = {job: len(self._jobs[job].plan.cases) for job in self._wanted}
        return Counter({job: cases[job] - wanted for job, wanted in self._wanted.items()})

    @cached_property
    def _wanted(self) -> Counter[int]:
        """Images by job that pieces are about."""
        wanted = Counter[int]()
        for piece in self._pieces:
            wanted[piece.job] += piece.stop - piece.start
        return wanted

    def _named(self, title: str, job: int) -> str:
        return f"{title} {self._jobs[job].label}" if len(self._wanted) > 1 else title
