"""Verifying: a sample of images scored anew, held to the rows."""

import shutil
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.plan import Request, make_plan
from bench.results import read_measured, write_rows
from bench.run import execute
from bench.verify import verify
from tests.commands import bench_json, refusal


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def drawn(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first two subjects' photographs, copied, as answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBJECTBENCH_HOME", str(home))
        plan = make_plan(Request(method="oracle", suite="mini", limit_subjects=2))
        return execute(plan, tmp_path_factory.mktemp("oracle") / "run")[0]


@pytest.fixture
def run(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "run"))


def test_a_run_holds(run: Path) -> None:
    found = verify(run, share=1.0)
    assert found.ok and found.images == found.of == 12
    assert {metric: told.n for metric, told in found.deviations.items()} == {
        "dino": 12,
        "clip_i": 12,
        "clip_t": 12,
    }
    assert max(told.largest for told in found.deviations.values()) < 1e-6


def test_a_sample_is_a_share_that_follows_from_the_seed(run: Path) -> None:
    assert verify(run, share=0.05).images == 1
    assert verify(run, share=0.5, seed=1) == verify(run, share=0.5, seed=1)


def test_a_row_of_a_board_holds_to_the_images_of_its_run(run: Path, tmp_path: Path) -> None:
    row = tmp_path / "row"
    row.mkdir()
    for name in ("row.json", "rows.parquet"):
        shutil.copyfile(run / name, row / name)
    assert verify(row, share=0.25, images=run).ok
    with pytest.raises(UserError, match="holds none of the images"):
        verify(row, share=0.25)


def test_numbers_that_were_touched_are_found_and_counted(run: Path) -> None:
    rows = list(read_measured(run).rows)
    [place] = [n for n, row in enumerate(rows) if row.metric == "dino"][:1]
    rows[place] = rows[place].model_copy(update={"value": rows[place].value + 0.01})
    write_rows(rows, run / "rows.parquet")
    found = verify(run, share=1.0)
    assert not found.ok
    assert found.deviations["dino"].beyond == 1
    assert found.deviations["dino"].largest == pytest.approx(0.01, abs=1e-6)
    assert verify(run, share=1.0, tolerance=0.02).ok


def test_an_altered_image_is_named(run: Path) -> None:
    one, other = sorted((run / "images").glob("*/*.png"))[:2]
    other.write_bytes(one.read_bytes())
    assert verify(run, share=1.0).altered == (other.relative_to(run / "images").as_posix(),)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_a_share_outside_its_range_is_refused(run: Path, share: float) -> None:
    with pytest.raises(UserError, match="give a share above 0 and at most 1"):
        verify(run, share)


def test_the_command_fails_where_a_row_does_not_hold(run: Path, home: Path) -> None:
    assert bench_json("verify", run, "--sample", "0.25", home=home)["ok"]
    shutil.rmtree(next(path for path in (run / "images").iterdir() if path.is_dir()))
    sentence = refusal("verify", run, "--sample", "1", home=home)
    assert "6 images are missing or altered" in sentence
