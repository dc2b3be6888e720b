"""How far pieces of work have come, told as the progress of the whole."""

from collections import Counter
from collections.abc import Mapping, Sequence

from bench.api import Progress
from bench.drawing import GENERATE
from bench.pieces import Job, Kind, Piece

SUMMED: dict[Kind, tuple[str, str]] = {"draw": (GENERATE, "generate"), "look": ("Scoring", "score")}
"""What workers call the images that they draw or look at, and what the sum of these is called."""
PREPARE = "prepare"
TOTALS = tuple(total for _, total in SUMMED.values())


class Meter:
    """Sums what is told of images over pieces of one kind, and passes on what trainings tell.

    ``images``: how many the pieces of each job are about. Of several jobs each is told by its
    label, besides the sum.
    """

    def __init__(self, progress: Progress, jobs: Sequence[Job], images: Mapping[int, int]) -> None:
        self._progress, self._jobs = progress, jobs
        self._wanted = {job: len(jobs[job].plan.cases) for job in images}
        self._done = {job: self._wanted[job] - left for job, left in images.items()}
        self._sums = Counter(wanted=sum(self._wanted.values()), done=sum(self._done.values()))
        self._told = Counter[str]()
        self._last: dict[str, tuple[str, int]] = {}
        self._prepared = 0

    def told(self, piece: Piece, title: str, done: int, total: int) -> None:
        """A worker has come so far with a piece."""
        if piece.kind == "specify":
            self._progress(PREPARE, self._prepared, len(self._wanted))
        elif piece.kind in SUMMED and title == SUMMED[piece.kind][0]:
            self._count(piece, done)
        elif title and piece.kind != "look":
            self._last[piece.key] = self._named(title, piece.job), total
            self._progress(self._named(title, piece.job), done, total)

    def finished(self, piece: Piece) -> None:
        """What was told of it last may have come earlier than its end."""
        if piece.key in self._last:
            title, total = self._last.pop(piece.key)
            self._progress(title, total, total)
        if piece.kind in SUMMED:
            self._count(piece, piece.stop - piece.start)
        if piece.kind == "specify":
            self._prepared += 1
            self._progress(PREPARE, self._prepared, len(self._wanted))

    def _count(self, piece: Piece, images: int) -> None:
        title, job = SUMMED[piece.kind][1], piece.job
        more = max(0, images - self._told[piece.key])
        self._told[piece.key] += more
        self._done[job] += more
        self._sums["done"] += more
        if len(self._wanted) > 1:
            self._progress(self._named(title, job), self._done[job], self._wanted[job])
        self._progress(title, self._sums["done"], self._sums["wanted"])

    def _named(self, title: str, job: int) -> str:
        """With what its run is called among others, where that is more than the method."""
        one = self._jobs[job]
        label = one.label.removeprefix(one.plan.method)
        return f"{title}{label}" if len(self._jobs) > 1 else title
