"""Suites are read whole and are frozen."""

import csv
import shutil
from pathlib import Path

import pytest

import bench
from bench.errors import UserError
from bench.paths import datasets_folder, leaderboards_folder
from bench.suites import (
    Suite,
    freeze,
    list_suites,
    load_suite,
    pick_version,
    prompts_for,
    read_suite,
    read_table,
    suite_folder,
)

SHARED = Path(__file__).parents[1] / "../shared/data/dreambench"
needs_photographs = pytest.mark.skipif(not SHARED.is_dir(), reason="no DreamBench photographs")

GOLDEN = {
    "dreambench@1": "df222f1daae3fdb61703e4aab132942007a0393ba889ff816834849dc6cdea4d",
    "imagenhub-generation@1": "2340c141b3dd7f092113836cf8c7f16d9898338b8fda8a1c9ae1e8aa52c8b8bf",
    "mini@1": "53b45d3df4c15f9ffa6422f720575f29a52ded29ae53cdef704e4ba12f21c4de",
    "mini-edit@1": "6f836d6cbd1b0669dd212d2f1470655ebc2fd6fb39aa7cc4d73d74738426276d",
    "mini-edit-validation@1": "0c80606349af53bf2d397c06b1182d0bf73b43e5aa7e4d10d21d882ad0ba6c7a",
    "mini-validation@1": "363e50c7a73eaa52675d7cf3182158750b2504c780af0dcdab47aa582a8fe6cd",
    "partiprompts@1": "fff16918d172a327a7875e0e7538e3d02f80d5a56a710744f5dd294dfe7e0282",
    "vico@1": "2f332066e1ce1f9c8cc2c7bb75c1dea46469f190a478de4b3564fe2f40d37bb3",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images are looked for in an empty home."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def copy_of(key: str, tmp_path: Path) -> Path:
    """A suite's folder that a test may spoil."""
    suite = load_suite(key)
    folder = tmp_path / suite.name / str(suite.version)
    shutil.copytree(suite_folder(suite), folder)
    return folder


def test_the_suites_are_the_ones_that_were_frozen() -> None:
    assert {suite.key: suite.identity for suite in list_suites()} == GOLDEN


def test_dreambench_has_9_live_subjects_of_30_and_25_prompts_each() -> None:
    suite = load_suite("dreambench")
    live = {subject.directory for subject in suite.subjects if subject.live}
    assert live == {"cat", "cat2", "dog", "dog2", "dog3", "dog5", "dog6", "dog7", "dog8"}
    assert len(suite.subjects) == 30
    assert sum(len(prompts_for(suite, subject)) for subject in suite.subjects) == 750
    assert sum(len(subject.references) for subject in suite.subjects) == len(suite.images) == 158


def test_dreambench_live_means_cat_or_dog() -> None:
    for subject in load_suite("dreambench").subjects:
        assert subject.live == (subject.class_noun in {"cat", "dog"})


def test_dreambench_is_in_alphabetical_order() -> None:
    directories = [subject.directory for subject in load_suite("dreambench").subjects]
    assert directories == sorted(directories)


def test_live_subjects_wear_hats_and_objects_stand_before_the_eiffel_tower() -> None:
    suite = load_suite("dreambench")
    by_name = {subject.directory: subject for subject in suite.subjects}
    assert "a {} wearing a red hat" in prompts_for(suite, by_name["dog8"])
    tower = "a {} with the Eiffel Tower in the background"
    assert tower in prompts_for(suite, by_name["wolf_plushie"])
    assert tower not in prompts_for(suite, by_name["dog8"])


def test_quotation_marks_in_descriptive_names_are_kept() -> None:
    names = {subject.directory: subject for subject in load_suite("dreambench").subjects}
    assert names["berry_bowl"].descriptive_name == "'Bon appetit' bowl"
    assert names["clock"].descriptive_name == "number '3' clock"
    assert names["poop_emoji"].class_noun == names["poop_emoji"].descriptive_name == "toy"


def test_tables_take_double_quotation_marks_as_text(tmp_path: Path) -> None:
    (tmp_path / "names.tsv").write_text('name\tlive\n"the" clock\t0\n"\t1\n')
    rows = list(read_table(tmp_path / "names.tsv"))
    assert rows == [{"name": '"the" clock', "live": "0"}, {"name": '"', "live": "1"}]


@needs_photographs
def test_all_750_dreambench_prompts_are_the_published_ones_in_order() -> None:
    suite = load_suite("dreambench")
    with (SHARED / "prompts_full.tsv").open(newline="") as file:
        published = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    expected = [
        (row["subject"], int(row["prompt_index"]), row["text_class"], row["text_sfo_name"])
        for row in published
    ]
    assert expected == [
        (s.directory, i, prompt.format(s.class_noun), prompt.format(s.descriptive_name))
        for s in suite.subjects
        for i, prompt in enumerate(prompts_for(suite, s))
    ]


@pytest.mark.parametrize("suite", list_suites(), ids=lambda suite: suite.key)
def test_every_suite_holds_together(suite: Suite) -> None:
    directories = [subject.directory for subject in suite.subjects]
    assert len(set(directories)) == len(directories)
    assert [image.path for image in suite.images] == [
        f"{subject.directory}/{file}" for subject in suite.subjects for file in subject.references
    ]
    assert len({image.sha256 for image in suite.images}) == len(suite.images)
    for subject in suite.subjects:
        assert bool(subject.references) == bool(suite.images)
        for prompt in prompts_for(suite, subject):
            assert prompt.count("{}") == len(subject.references[:1]) and prompt == prompt.strip()


def test_a_bare_name_means_the_latest_version_by_number() -> None:
    keys = ["toys@2", "toys@10", "toys@9", "toys-more@11"]
    assert pick_version("suite", "toys", keys) == "toys@10"
    assert pick_version("suite", "toys@2", keys) == "toys@2"


def test_an_unknown_suite_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(UserError, match=r"'dreambnch': did you mean dreambench "):
        load_suite("dreambnch")


def test_an_unknown_version_is_answered_with_the_versions_there_are() -> None:
    with pytest.raises(UserError, match="Unknown suite 'dreambench@7': did you mean dreambench@1"):
        load_suite("dreambench@7")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("suite.toml", "30 photographed", "31 photographed"),
        ("subjects.tsv", "grey cat", "blue cat"),
        ("prompts_live.txt", "red hat", "green hat"),
        ("prompts_object.txt", "jungle", "desert"),
        ("images.tsv", "\t99896", "\t99897"),
    ],
)
def test_a_changed_suite_is_refused(tmp_path: Path, file: str, old: str, new: str) -> None:
    folder = copy_of("dreambench", tmp_path)
    assert read_suite(folder) == load_suite("dreambench")
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(UserError, match=r"a suite is frozen.*new version \(dreambench@2\)"):
        read_suite(folder)


def test_line_endings_of_a_checkout_do_not_change_a_suite(tmp_path: Path) -> None:
    folder = copy_of("dreambench", tmp_path)
    for path in (*folder.glob("*.t*"), *folder.glob("*.txt")):
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert read_suite(folder).identity == GOLDEN["dreambench@1"]


def test_a_frozen_suite_cannot_be_frozen_again_with_other_content(tmp_path: Path) -> None:
    folder = copy_of("mini", tmp_path)
    (folder / "prompts_object.txt").write_text("a {} at home\n")
    with pytest.raises(UserError, match="frozen"):
        freeze(folder)


def test_a_new_version_gets_its_digest_once(tmp_path: Path) -> None:
    folder = copy_of("mini", tmp_path)
    newer = folder.rename(folder.with_name("2"))
    (newer / "digest.txt").unlink()
    with pytest.raises(UserError, match="has no digest"):
        read_suite(newer)
    freeze(newer)
    assert read_suite(newer).key == "mini@2"


@pytest.mark.parametrize(("file", "text"), [("suite.toml", "title = "), ("images.tsv", "path\nx")])
def test_a_damaged_suite_is_one_clear_sentence(tmp_path: Path, file: str, text: str) -> None:
    folder = copy_of("mini", tmp_path)
    (folder / file).write_text(text)
    with pytest.raises(UserError, match=r"cannot be read.*restore the folder"):
        read_suite(folder)


@pytest.mark.parametrize("where", [datasets_folder, leaderboards_folder])
def test_data_folders_hold_no_python(where: object) -> None:
    assert callable(where)
    assert not list(where().rglob("*.py"))


def test_shipped_data_is_found_in_the_package_before_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "__file__", str(tmp_path / "bench" / "__init__.py"))
    assert datasets_folder() == tmp_path / "datasets"
    packaged = tmp_path / "bench" / "_data" / "datasets"
    packaged.mkdir(parents=True)
    assert datasets_folder() == packaged
