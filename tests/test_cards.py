"""A method's card: every option, what its source says of it, and what that leaves open."""

import json
import subprocess
import sys

import pytest

from bench import registry
from bench.cards import method_card
from bench.errors import UserError

FAMILY = ("sft-base", "sft-additional", "sfo", "sfo-direct", "self-play", "dpo-dino", "ddpo")


@pytest.mark.parametrize("name", FAMILY)
def test_the_family_says_what_is_stated_and_what_is_open(name: str) -> None:
    told = method_card(name)
    assert told.card is not None
    assert told.card.stated and told.card.choices
    assert "arXiv" in told.card.source


@pytest.mark.parametrize("name", sorted(registry.BUILT_IN["method"]))
def test_every_option_of_every_method_is_described(name: str) -> None:
    told = method_card(name)
    assert told.what
    assert all(option.what for option in told.options)


def test_what_a_backbone_changes_stands_beside_the_default() -> None:
    options = {option.name: option for option in method_card("sfo").options}
    assert options["batch"].default == "16"
    assert "mini: 4" in options["batch"].elsewhere
    assert options["beta"].default == "1000.0"


def test_the_command_prints_a_card_or_json() -> None:
    command = [sys.executable, "-c", "from bench.cli import main; main()", "show", "method", "sfo"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "left open" in text and "variance" in text
    document = json.loads(
        subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
    )
    assert document["name"] == "sfo" and document["card"]["choices"]["batch"]


def test_an_unknown_method_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean sfo"):
        method_card("sfoo")
