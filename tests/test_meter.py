"""What is told of pieces becomes the progress of the whole, which never goes back."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bench.drawing import GENERATE
from bench.meter import Meter
from bench.pieces import Piece
from tests.trivial import job

Line = tuple[str, int, int]


class Heard:
    """Progress as it was told."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def __call__(self, title: str, done: int, total: int) -> None:
        self.lines.append((title, done, total))

    def of(self, title: str) -> list[int]:
        return [done for name, done, _ in self.lines if name == title]


def piece(name: str, images: int, number: int = 0) -> Piece:
    return Piece("draw", number, {}, name=name, stop=images)


def test_images_of_all_pieces_are_summed() -> None:
    heard = Heard()
    meter = Meter(heard, [job(2)], {0: 12})
    one, other = piece("one", 6), piece("other", 6)
    meter.told(one, GENERATE, 2, 6)
    meter.told(other, GENERATE, 3, 6)
    meter.finished(one)
    meter.finished(other)
    assert heard.lines == [("generate", done, 12) for done in (2, 5, 9, 12)]


def test_images_that_are_there_already_count_as_done() -> None:
    heard = Heard()
    Meter(heard, [job(2)], {0: 4}).finished(piece("rest", 4))
    assert heard.lines == [("generate", 12, 12)]


def test_a_piece_that_was_lost_and_is_begun_again_takes_nothing_back() -> None:
    heard = Heard()
    meter, lost = Meter(heard, [job()], {0: 6}), piece("one", 6)
    for done in (4, 1, 2, 5):
        meter.told(lost, GENERATE, done, 6)
    assert heard.of("generate") == [4, 4, 4, 5]


def test_of_several_runs_each_is_told_by_what_it_is_called_besides_the_sum() -> None:
    heard = Heard()
    jobs = [job(label="noise seeds=1"), job(2, label="noise seeds=2")]
    meter = Meter(heard, jobs, {0: 6, 1: 12})
    meter.finished(piece("a", 6, number=0))
    meter.finished(piece("b", 6, number=1))
    assert [line for line in heard.lines if line[0] == "generate"] == [
        ("generate", 6, 18),
        ("generate", 12, 18),
    ]
    own = [line for line in heard.lines if line[0] != "generate"]
    assert [(done, total) for _, done, total in own] == [(6, 6), (6, 12)]
    assert "seeds=1" in own[0][0] and "seeds=2" in own[1][0]


def test_trainings_are_passed_on_under_their_own_titles() -> None:
    heard = Heard()
    meter = Meter(heard, [job()], {0: 6})
    meter.told(piece("mug", 6), "train mug 1/1", 10, 100)
    assert heard.lines == [("train mug 1/1", 10, 100)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=30))
def test_whatever_is_told_in_which_order_the_sum_grows_to_the_whole(
    told: list[tuple[int, int]],
) -> None:
    heard, pieces = Heard(), [piece(str(number), 6) for number in range(4)]
    meter = Meter(heard, [JOB], {0: 24})
    for number, done in told:
        meter.told(pieces[number], GENERATE, done, 6)
    for one in pieces:
        meter.finished(one)
    sums = heard.of("generate")
    assert all(before <= after for before, after in pairwise(sums)) and sums[-1] == 24


JOB = job(4)
