"""Suites that cannot be shipped are read from the official download, and then held to it."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench import suites
from bench.data import verify
from bench.downloads import add as add_official
from bench.errors import UserError
from bench.lint import lint
from bench.listing import LISTS
from bench.paths import home
from bench.plan import make_cases
from bench.protocols import load_protocol
from bench.references import open_reference
from bench.suites import list_suites, load_suite, prompts_for, read_table
from tests.checkouts import photograph, write_concepts, write_pairs

PUBLISHED = Path(__file__).parents[1] / "../shared/data/customconcept101"
CONCEPTS = ("concept1", "concept2")
READ = [
    ("customconcept101@1", "concepts"),
    ("customconcept101-multi@1", "pairs"),
    ("dreambench-plus@1", "captioned"),
]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def concepts(tmp_path: Path) -> Path:
    return write_concepts(tmp_path)


@pytest.fixture
def captioned(tmp_path: Path) -> Path:
    """An unpacked archive with 150 made-up subjects, nine prompts each."""
    root = tmp_path / "data"
    for k in range(150):
        where = f"{'live_subject/animal' if k < 50 else 'object'}/{k:02d}_cup"
        photograph(root / "images" / f"{where}.jpg", k)
        caption = root / "captions" / f"{where}.txt"
        caption.parent.mkdir(parents=True, exist_ok=True)
        caption.write_text("cup\n" + "".join(f"a cup at {n}\n" for n in range(9)))
    return root


def test_without_the_download_the_command_that_adds_it_is_named() -> None:
    with pytest.raises(UserError, match="bench data add customconcept101 PATH"):
        load_suite("customconcept101")
    assert "customconcept101@1" not in {suite.key for suite in list_suites()}
    lines = {line["name"]: line for line in LISTS["suites"]()}
    away = lines["customconcept101@1"]
    assert (away["subjects"], away["prompts"], away["data"]) == ("101", "2020", "data not here")
    assert lines["mini@1"]["data"] == "data here"


def test_a_checkout_of_customconcept101_becomes_the_suite(concepts: Path) -> None:
    assert add_official("customconcept101@1", concepts).ok
    suite = load_suite("customconcept101")
    subject = suite.subjects[0]
    assert (len(suite.subjects), len(suite.images)) == (101, 202)
    assert prompts_for(suite, subject)[0] == "{} at 0." and len(prompts_for(suite, subject)) == 20
    assert sum(subject.live for subject in suite.subjects) == 11
    assert load_protocol(suite).input_references[subject.directory] == "00"
    assert open_reference(suite, subject, "01").size == (8, 8)
    assert suite in list_suites()


@pytest.fixture
def pairs(concepts: Path) -> Path:
    return write_pairs(concepts)


def test_a_pair_of_concepts_is_a_subject_with_both_names_in_its_prompts(pairs: Path) -> None:
    assert add_official("customconcept101-multi@1", pairs).ok
    suite = load_suite("customconcept101-multi")
    subject = suite.subjects[60]
    assert (subject.directory, subject.live) == ("things_60+pet_10", True)
    assert sum(pair.live for pair in suite.subjects) == 22
    assert subject.references == ("00", "01", "02", "03")
    reds = [np.asarray(open_reference(suite, subject, file))[0, 0, 0] for file in ("00", "03")]
    assert reds == pytest.approx([60, 10], abs=2)
    headline = load_protocol(suite)
    asked = make_cases(suite, headline, (subject,), headline.seeds)
    assert {case.prompt for case in asked} == {"the odd {thing} on thing.", "odd {thing}, {braced}"}
    assert len(asked) == 12 * headline.seeds


def test_a_checkout_without_photographs_takes_those_of_the_suite_of_single_concepts(
    pairs: Path, tmp_path: Path
) -> None:
    add_official("customconcept101-multi@1", pairs)
    identity = load_suite("customconcept101-multi").identity
    add_official("customconcept101@1", pairs)
    shutil.rmtree(home() / "data/customconcept101-multi")
    shutil.rmtree(pairs / "customconcept101/benchmark_dataset")
    assert add_official("customconcept101-multi@1", pairs).ok
    assert load_suite("customconcept101-multi").identity == identity
    (home() / "data/customconcept101/pet_3/00").write_bytes(b"spoilt")
    with pytest.raises(UserError, match="no photographs of"):
        add_official("customconcept101-multi@1", pairs)


def test_the_photographs_of_both_concepts_are_needed(pairs: Path) -> None:
    (pairs / "customconcept101/benchmark_dataset/pet_3").rename(pairs / "elsewhere")
    with pytest.raises(UserError, match=r"no photographs of pet_3\+things_54, things_53\+pet_3 in"):
        add_official("customconcept101-multi@1", pairs)


def test_prompts_of_a_pair_with_room_for_a_third_are_refused(pairs: Path) -> None:
    (pairs / "customconcept101/prompts/thing_thing.txt").write_text("{0}, {1} and {2}")
    with pytest.raises(UserError, match=r"cannot be read \(IndexError"):
        add_official("customconcept101-multi@1", pairs)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published data are not here")
def test_the_published_pairs_and_prompts_are_read(tmp_path: Path) -> None:
    root = tmp_path / "customconcept101"
    shutil.copytree(PUBLISHED, root)
    for concept in {row[n] for row in read_table(root / "multiconcept.tsv") for n in CONCEPTS}:
        photograph(root / "benchmark_dataset" / concept / "0.png", 0)
    add_official("customconcept101-multi@1", root)
    suite = load_suite("customconcept101-multi")
    cases = make_cases(suite, load_protocol(suite), suite.subjects, 1)
    assert [(case.subject, case.prompt) for case in cases] == [
        (f"{row['concept1']}+{row['concept2']}", row["text_class"])
        for row in read_table(root / "prompts_multi_full.tsv")
    ]


@pytest.mark.parametrize(("key", "made"), READ)
def test_headlines_leave_nothing_open(key: str, made: str, request: pytest.FixtureRequest) -> None:
    add_official(key, request.getfixturevalue(made))
    suite = load_suite(key)
    assert [finding.line for finding in lint(suite, load_protocol(suite))] == []


def test_captions_beside_images_become_dreambench_plus(captioned: Path) -> None:
    assert add_official("dreambench-plus@1", captioned).ok
    suite = load_suite("dreambench-plus")
    assert suite.subjects[0].directory == "live_subject_animal_00_cup" and suite.subjects[0].live
    assert sum(subject.live for subject in suite.subjects) == 50
    assert {len(prompts_for(suite, subject)) for subject in suite.subjects} == {9}
    assert load_protocol(suite).seeds == 1


def test_an_archive_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as stored:
        stored.writestr("data/captions/cup.txt", "cup")
    with pytest.raises(UserError, match="is not the archive of dreambench-plus@1"):
        add_official("dreambench-plus@1", tmp_path / "data.zip")


def test_an_incomplete_download_is_refused(captioned: Path) -> None:
    next((captioned / "captions/object").iterdir()).unlink()
    with pytest.raises(UserError, match=r"150 subjects with 1350 prompts, but .* 149 with 1341"):
        add_official("dreambench-plus@1", captioned)
    assert not (home() / "data/dreambench-plus").exists()


def test_photographs_that_were_not_unpacked_are_asked_for(concepts: Path) -> None:
    folder = concepts / "customconcept101/benchmark_dataset/pet_3"
    folder.rename(concepts / "elsewhere")
    with pytest.raises(UserError, match="no photographs of pet_3 in"):
        add_official("customconcept101@1", concepts)


def test_a_photograph_that_is_none_is_named(concepts: Path) -> None:
    (concepts / "customconcept101/benchmark_dataset/pet_3/a.jpg").write_text("<html>")
    with pytest.raises(UserError, match=r"pet_3/a\.jpg cannot be read"):
        add_official("customconcept101@1", concepts)


def test_what_was_recorded_holds_later(concepts: Path) -> None:
    add_official("customconcept101@1", concepts)
    (home() / "data/customconcept101/pet_3/00").write_bytes(b"spoilt")
    assert verify(load_suite("customconcept101")).altered == ("pet_3/00",)
    photograph(concepts / "customconcept101/benchmark_dataset/pet_3/a.jpg", 200)
    with pytest.raises(UserError, match="not the customconcept101@1 that was added before"):
        add_official("customconcept101@1", concepts)


def test_a_bare_name_is_enough_to_bring_one() -> None:
    assert suites.named_download("dreambench-plus") == "dreambench-plus@1"
    assert suites.named_download("dreambench") is None
