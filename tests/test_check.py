"""A check finds what has moved since a row was measured, and nothing where nothing has changed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner, Result

from bench import registry
from bench.api import Question
from bench.board import read_board
from bench.check import Outcome, ask, check, hold, judge
from bench.cli import app
from bench.errors import UserError
from bench.expected import TOLERANCE, Expected, Ordering, board_of, expected_of, read_expected
from bench.methods.anchors import Anchor
from bench.paths import cache, cache_in
from bench.results import Measured, read_measured
from bench.suites import load_suite

MakeRun = Callable[..., Path]
FILE = """\
methods = ["oracle"]
[runs.grey-light]
method = "grey"
set = { level = 200 }
[tolerances]
dino = 0.02
[[orderings]]
metric = "dino"
higher = "oracle"
lower = "text-only"
by = 0.5
"""


class Grey(Anchor):  # type: ignore[misc]
    """A method of somebody's own."""

    name = "grey"
    level = 100

    def answer(self, question: Question) -> Image.Image:
        return Image.new("RGB", question.reference.size, (self.level, 0, 0))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory and a home, both empty, and a method that others brought."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SUBJECTBENCH_HOME", str(folder / "home"))
        patch.setitem(registry._added["method"], "grey", f"{__name__}:Grey")
        yield folder


@pytest.fixture(scope="module")
def checked(work: Path) -> Outcome:
    """The first subject's photographs under the oracle, on the shipped board."""
    expected = expected_of(load_suite("mini"))
    asked = ask("mini", expected, ["oracle"], limit_subjects=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBJECTBENCH_HOME", str(work / "untouched"))
        return check(asked, expected, work / "out")


@pytest.fixture(scope="module")
def kept(work: Path) -> Path:
    """Leaderboards of one's own, with a partial run of one's own method."""
    command("run", "--method", "grey", "--suite", "mini", "--limit-subjects", "1", "--out", "grey")
    command("board", "add", "grey", "--allow-limited", "--boards", "kept")
    return work / "kept"


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def ordering(higher: str, lower: str, by: float = 0) -> Ordering:
    return Ordering(metric="dino", higher=higher, lower=lower, by=by)


def moved(run: Measured, distance: float) -> Measured:
    """The same run with every number larger by a distance."""
    rows = tuple(row.model_copy(update={"value": row.value + distance}) for row in run.rows)
    return Measured(run.folder, run.result, rows)


@pytest.fixture(scope="module")
def oracle() -> Measured:
    rows = read_board(board_of(load_suite("mini")))
    return next(row for row in rows if row.result.method == "oracle")


class TestARun:
    def test_of_unchanged_code_is_what_the_board_says(self, checked: Outcome) -> None:
        (held,) = checked.runs
        assert checked.passed
        assert held.changed_images == 0 and held.settings == ()
        assert all(abs(number.difference) < 1e-6 for number in held.numbers)

    def test_is_held_against_its_own_subjects_alone(
        self, checked: Outcome, oracle: Measured
    ) -> None:
        (held,) = checked.runs
        first = [v for key, v in oracle.values("dino").items() if key[0] == "mug-000"]
        assert (held.n_subjects, held.n_images) == (1, len(first))
        assert held.numbers[0].before == pytest.approx(sum(first) / len(first))

    def test_rests_on_no_earlier_work(self, checked: Outcome, work: Path) -> None:
        earlier = work / "untouched" / "cache"
        assert (work / "out" / "cache").is_dir() and not (work / "runs").exists()
        # Digests of files are remembered by the files' times, and no code changes them.
        assert {path.name for path in earlier.glob("*")} <= {"digests"}

    def test_tells_how_it_was_made_otherwise(self, make_run: MakeRun) -> None:
        row = read_measured(make_run("mine", options={"beta": 1000, "rank": 4}))
        run = read_measured(make_run("mine", options={"beta": 500, "rank": 4}, method_revision=2))
        told = hold("mine", run, row, Expected()).settings
        assert told == ("revision 1 -> 2", "beta 1000 -> 500")

    def test_tells_how_many_images_are_others(self, make_run: MakeRun) -> None:
        mine, other = (read_measured(make_run(name, subjects=2)) for name in ("mine", "other"))
        assert hold("mine", other, mine, Expected()).changed_images == 6

    def test_of_another_suite_is_refused(self, make_run: MakeRun) -> None:
        row = read_measured(make_run("row", suite_identity="0" * 64))
        with pytest.raises(UserError, match="suite content differs"):
            hold("mine", read_measured(make_run("mine")), row, Expected())


class TestANumber:
    @given(distance=st.floats(-0.1, 0.1), tolerance=st.floats(0, 0.1))
    def test_has_moved_when_its_mean_has_by_more_than_the_tolerance(
        self, oracle: Measured, distance: float, tolerance: float
    ) -> None:
        subject = tuple(row for row in oracle.rows if row.subject == "mug-000")
        run = Measured(oracle.folder, oracle.result, subject)
        (number, *_) = hold(
            "oracle", moved(run, distance), run, Expected(tolerances={"dino": tolerance})
        ).numbers
        assert number.difference == pytest.approx(distance, abs=1e-9)
        assert number.moved == (abs(number.difference) > tolerance)

    def test_of_cosines_has_a_tolerance_unless_told(self, oracle: Measured) -> None:
        (number, *_) = hold("oracle", moved(oracle, 0.02), oracle, Expected()).numbers
        assert (number.tolerance, number.moved) == (TOLERANCE, True)

    def test_of_another_unit_needs_one(self, make_run: MakeRun) -> None:
        run = read_measured(make_run("mine", definition={"unit": "distance"}))
        with pytest.raises(
            UserError, match=r"how far dino may move: state it under \[tolerances\]"
        ):
            hold("mine", run, run, Expected())


class TestAnOrdering:
    def test_holds_by_the_sign_of_the_difference(self, make_run: MakeRun) -> None:
        good, bad = (read_measured(make_run(n, level)) for n, level in (("a", 0.6), ("b", 0.5)))
        assert judge(ordering("a", "b"), good, bad).holds
        assert not judge(ordering("b", "a"), bad, good).holds
        assert not judge(ordering("a", "a"), good, good).holds

    def test_holds_only_by_as_much_as_is_said(self, make_run: MakeRun) -> None:
        good, bad = (read_measured(make_run(n, level)) for n, level in (("a", 0.6), ("b", 0.5)))
        assert judge(ordering("a", "b", by=0.05), good, bad).holds
        assert not judge(ordering("a", "b", by=0.2), good, bad).holds

    def test_reads_a_side_that_is_not_run_from_its_row(self, checked: Outcome) -> None:
        sides = {(told.ordering.higher, told.ordering.lower) for told in checked.orderings}
        assert ("oracle", "wrong-subject") in sides

    def test_of_rows_alone_is_nothing_to_check(self, checked: Outcome) -> None:
        told = [judged.ordering for judged in checked.orderings]
        assert told and all("oracle" in (one.higher, one.lower) for one in told)

    def test_that_the_board_expects_holds_on_its_own_rows(self) -> None:
        suite = load_suite("mini")
        rows = {row.result.method: row for row in read_board(board_of(suite))}
        expected = expected_of(suite)
        assert expected.orderings
        for one in expected.orderings:
            assert judge(one, rows[one.higher], rows[one.lower]).holds, one.words


class TestAMethodOfOnesOwn:
    def test_is_held_against_a_row_of_ones_own(self, kept: Path, work: Path) -> None:
        arguments = ["--methods", "grey", "--baseline", str(kept), "--limit-subjects", "1"]
        assert command("check", *arguments).exit_code == 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Grey, "level", 250)
            done = command("check", *arguments, "--json")
        told = json.loads(done.stdout)
        assert done.exit_code == 1 and not told["passed"]
        assert told["runs"][0]["changed_images"] == told["runs"][0]["n_images"] == 6

    def test_needs_a_row(self, work: Path) -> None:
        done = command("check", "--methods", "grey")
        assert isinstance(done.exception, UserError)
        assert "--baseline" in str(done.exception)


class TestTheCommand:
    def test_shows_what_broke_and_ends_with_1(self, checked: Outcome, work: Path) -> None:
        (work / "mine.toml").write_text(
            'methods = ["oracle"]\n'
            'orderings = [{ metric = "dino", higher = "wrong-subject", lower = "oracle" }]\n'
        )
        done = command("check", "--file", "mine.toml", "--limit-subjects", "1", "--out", "out")
        assert done.exit_code == 1
        assert "BROKEN  wrong-subject > oracle in dino" in done.stdout
        assert "0 of 3 numbers moved, 1 of 1 orderings broken" in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--methods", "orakel"], "did you mean oracle?"),
            (["--suite", "mini-edit"], "name methods by --methods"),
            (["--baseline", "nowhere"], "no row.json at or below nowhere"),
            (["--file", "nowhere.toml"], "nowhere.toml cannot be read"),
        ],
    )
    def test_says_what_is_wrong(self, work: Path, arguments: list[str], sentence: str) -> None:
        done = command("check", *arguments)
        assert isinstance(done.exception, UserError)
        assert sentence in str(done.exception)


class TestACheckFile:
    def test_says_what_is_run_and_expected(self, tmp_path: Path) -> None:
        (tmp_path / "check.toml").write_text(FILE)
        expected = read_expected(tmp_path / "check.toml")
        assert expected.names == ("oracle", "grey-light")
        assert expected.recipe("grey-light").options("mini") == {"level": "200"}
        assert expected.orderings == (ordering("oracle", "text-only", by=0.5),)

    def test_names_the_place_that_is_wrong(self, tmp_path: Path) -> None:
        (tmp_path / "check.toml").write_text(FILE.replace("by = 0.5", "by = -1"))
        with pytest.raises(UserError, match=r"check\.toml is wrong at 'orderings\.0\.by'"):
            read_expected(tmp_path / "check.toml")


def test_the_file_that_the_page_shows_can_be_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs/ci.md").read_text(encoding="utf-8")
    (tmp_path / "check.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    assert read_expected(tmp_path / "check.toml").names == ("oracle", "mine", "mine-short")


def test_earlier_work_is_found_again_after_work_elsewhere(tmp_path: Path) -> None:
    before = cache()
    with cache_in(tmp_path):
        assert cache() == tmp_path
    assert cache() == before
