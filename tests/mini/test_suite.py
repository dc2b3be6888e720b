"""The mini suites: drawn the same everywhere, and apart from each other and from training."""

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench.errors import UserError
from bench.mini.grammar import CLASSES, VOCABULARY
from bench.mini.suite import write_suite_tables
from bench.mini.world import SIZE, render_reference, sample_identity
from bench.references import open_reference
from bench.suites import Suite, World, load_suite, suite_folder


@pytest.fixture(params=["mini@1", "mini-validation@1"])
def suite(request: pytest.FixtureRequest) -> Suite:
    return load_suite(request.param)


def test_the_test_suite_asks_about_the_test_split_and_tuning_about_the_validation_split() -> None:
    assert load_suite("mini").world == World(seed=0, split="test", count=48)
    assert load_suite("mini-validation").world == World(seed=0, split="validation", count=48)
    assert "tun" in load_suite("mini-validation").title


def test_every_reference_is_drawn_as_it_was_frozen(suite: Suite) -> None:
    for subject in suite.subjects:
        for file in subject.references:
            image = open_reference(suite, subject, file)
            assert (image.mode, image.size) == ("RGB", (SIZE, SIZE))
            drawn = hashlib.sha256(image.tobytes()).hexdigest()
            frozen = {image.path: image.sha256 for image in suite.images}
            assert drawn == frozen[f"{subject.directory}/{file}"]


def test_the_tables_follow_from_suite_toml(suite: Suite, tmp_path: Path) -> None:
    shipped = suite_folder(suite)
    folder = tmp_path / suite.name / "1"
    folder.mkdir(parents=True)
    for file in ("suite.toml", "prompts_object.txt"):
        shutil.copy(shipped / file, folder)
    write_suite_tables(folder)
    for file in ("subjects.tsv", "images.tsv", "digest.txt"):
        assert (folder / file).read_text() == (shipped / file).read_text()


def test_another_world_needs_another_version(tmp_path: Path) -> None:
    folder = tmp_path / "mini" / "1"
    shutil.copytree(suite_folder(load_suite("mini")), folder)
    text = (folder / "suite.toml").read_text()
    (folder / "suite.toml").write_text(text.replace("seed = 0", "seed = 1"))
    with pytest.raises(UserError, match="frozen"):
        write_suite_tables(folder)


def test_six_subjects_of_every_class_taking_turns(suite: Suite) -> None:
    assert Counter(subject.class_noun for subject in suite.subjects) == dict.fromkeys(CLASSES, 6)
    assert tuple(subject.class_noun for subject in suite.subjects[:8]) == CLASSES
    assert [s.directory for s in suite.subjects[:2]] == ["mug-000", "car-001"]
    for subject in suite.subjects:
        assert subject.descriptive_name == subject.class_noun
        assert not subject.live


def test_the_input_is_the_reference_that_training_shows(suite: Suite) -> None:
    assert suite.world
    for index, subject in enumerate(suite.subjects):
        expected = render_reference(sample_identity(0, suite.world.split, index))
        assert np.array_equal(np.asarray(open_reference(suite, subject, "00.png")), expected)


def test_other_references_show_the_subject_whole_and_elsewhere(suite: Suite) -> None:
    for subject in suite.subjects:
        images = [np.asarray(open_reference(suite, subject, f)) for f in subject.references]
        assert len({image.tobytes() for image in images}) == 4
        for image in images:
            edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
            assert (edges == 255).all()


def test_prompts_use_words_that_the_backbone_knows(suite: Suite) -> None:
    for prompt in suite.prompts_object:
        for subject in suite.subjects:
            assert set(prompt.format(subject.class_noun).split()) <= set(VOCABULARY)


def test_no_image_is_in_both_suites() -> None:
    one, other = ({i.sha256 for i in load_suite(key).images} for key in ("mini", "mini-validation"))
    assert not one & other


def test_a_reference_that_does_not_exist_is_named() -> None:
    suite = load_suite("mini")
    with pytest.raises(UserError, match=r"Unknown reference image of mini@1 '04\.png'"):
        open_reference(suite, suite.subjects[0], "04.png")
