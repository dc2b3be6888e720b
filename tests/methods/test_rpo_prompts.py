"""The token stands before the subject's name, and scenes are no suite's prompts."""

from pathlib import Path

import pytest

from bench.errors import UserError
from bench.methods.rpo_prompts import MINI_SCENES, SCENES, named, scenes, tokened
from bench.mini.grammar import scene_of
from bench.suites import load_suite, prompts_for


@pytest.mark.parametrize(
    ("prompt", "name", "expected"),
    [
        ("a dog in the snow", "dog", "a [V] dog in the snow"),
        ("a red grey cat", "grey cat", "a red [V] grey cat"),
        ("a cat catching a cat", "cat", "a [V] cat catching a cat"),
        ("a scatter cat", "cat", "a scatter [V] cat"),
        ("a 'Bon appetit' bowl on sand", "'Bon appetit' bowl", "a [V] 'Bon appetit' bowl on sand"),
    ],
)
def test_the_first_mention_of_the_whole_name_gets_the_token(
    prompt: str, name: str, expected: str
) -> None:
    assert tokened(prompt, "[V]", name) == expected


def test_a_token_is_taken_literally_and_an_empty_one_changes_nothing() -> None:
    assert tokened("a dog", r"\1", "dog") == r"a \1 dog"
    assert tokened("a dog", "", "dog") == "a dog"
    assert (named("[V]", "dog"), named("", "dog")) == ("[V] dog", "dog")


def test_eight_scenes_are_built_in_and_no_suite_asks_them() -> None:
    assert scenes(None, mini=False) == SCENES and scenes(None, mini=True) == MINI_SCENES
    for built_in, names in ((SCENES, ("dreambench",)), (MINI_SCENES, ("mini", "mini-validation"))):
        assert len(set(built_in)) == 8
        assert all(template.count("{}") == 1 for template in built_in)
        for suite in map(load_suite, names):
            asked = {p for subject in suite.subjects for p in prompts_for(suite, subject)}
            assert not asked & set(built_in)


def test_the_scenes_of_the_mini_world_are_sentences_of_its_grammar() -> None:
    for template in MINI_SCENES:
        assert scene_of(template).template == template


def test_a_file_of_scenes_is_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "scenes.txt"
    file.write_text("a {} at dawn\n\n  a {} in rain \n")
    assert scenes(file, mini=True) == ["a {} at dawn", "a {} in rain"]


@pytest.mark.parametrize("text", ["", "a dog at dawn\n", "a {} beside a {}\n", "a {} {here}\n"])
def test_a_file_of_something_else_is_one_clear_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "scenes.txt"
    file.write_text(text)
    with pytest.raises(UserError, match=r"scenes\.txt must have a prompt in every line"):
        scenes(file, mini=False)
    with pytest.raises(UserError, match=r"no prompts at .*none\.txt; check the option 'prompts'"):
        scenes(tmp_path / "none.txt", mini=False)
