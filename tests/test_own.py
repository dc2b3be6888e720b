"""A folder of one's own becomes a suite that is asked, answered and scored like any other."""

from pathlib import Path

import pytest

from bench.data import fetch, verify
from bench.errors import UserError
from bench.own import make
from bench.paths import home
from bench.plan import Request, make_plan
from bench.protocols import list_protocols
from bench.references import open_reference
from bench.run import execute
from bench.suites import list_suites, load_suite, prompts_for
from tests.commands import bench
from tests.networks import picture

PROMPTS = "a {} in snow\n\na city at night\n"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two subjects, one of them with two photographs."""
    for seed, file in enumerate(("red_mug/a.png", "red_mug/b.png", "car/only.jpg")):
        path = tmp_path / "mine" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        picture((40, 32), seed).save(path)
    (tmp_path / "mine" / "prompts.txt").write_text(PROMPTS)
    return tmp_path / "mine"


def test_every_directory_is_a_subject_and_all_are_asked_every_prompt(folder: Path) -> None:
    suite = make("mine", folder)
    assert [(s.directory, s.class_noun, s.references) for s in suite.subjects] == [
        ("car", "car", ("00",)),
        ("red_mug", "red mug", ("00", "01")),
    ]
    assert prompts_for(suite, suite.subjects[0]) == ("a {} in snow", "a city at night")
    assert open_reference(suite, suite.subjects[1], "01").size == (40, 32)
    assert {p.name for p in list_protocols(suite)} == {"headline", "mini", "style"}
    assert suite in list_suites() and load_suite("mine") == suite and verify(suite).ok


def test_a_run_of_it_is_a_run_like_any_other(folder: Path, tmp_path: Path) -> None:
    make("mine", folder)
    request = Request(method="text-only", suite="mine", backbone="mini", options={"steps": "1"})
    _, result = execute(make_plan(request), tmp_path / "run")
    assert result.protocol == "mini@1" and result.metrics["dino"].n == 4


def test_it_is_frozen(folder: Path) -> None:
    suite = make("mine", folder)
    with pytest.raises(UserError, match="There is a suite 'mine' already"):
        make("mine", folder)
    table = home() / "suites/mine/1/prompts.tsv"
    table.write_text(table.read_text().replace("snow", "rain"))
    with pytest.raises(UserError, match="was changed, but a suite is frozen"):
        load_suite(suite.key)


def test_nobody_else_has_its_images(folder: Path) -> None:
    suite = make("mine", folder)
    (home() / "data/mine/car/00").unlink()
    with pytest.raises(UserError, match=r"^mine@1 is a suite of your own, which nobody else has"):
        fetch(suite)


def test_what_is_no_suite_is_one_sentence_and_makes_nothing(folder: Path) -> None:
    prompts = folder / "prompts.txt"
    prompts.write_text("a {} and a {}")
    with pytest.raises(UserError, match="must have a prompt in every line"):
        make("mine", folder)
    prompts.unlink()
    with pytest.raises(UserError, match="There are no prompts at"):
        make("mine", folder)
    prompts.write_text(PROMPTS)
    (folder / "bare").mkdir()
    with pytest.raises(UserError, match=r"There are no images in .*bare"):
        make("mine", folder)
    for name, sentence in (("dreambench", "There is a suite"), ("My Suite", "is no name of a")):
        with pytest.raises(UserError, match=sentence):
            make(name, folder)
    assert not list(home().glob("*"))


def test_the_command_makes_one_and_says_where_it_is(folder: Path) -> None:
    done = bench("data", "make", "mine", folder, home=home())
    assert done.returncode == 0, done.stderr
    assert f"All 3 images of mine@1 are in {home() / 'data/mine'}" in done.stdout
