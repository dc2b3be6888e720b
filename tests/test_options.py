"""KEY=VALUE pairs become validated options, or one clear sentence."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from bench.api import Frozen
from bench.errors import UserError
from bench.options import parse_pairs, resolve


class Options(Frozen):
    beta: float = Field(default=1000.0, gt=0)
    steps: int | None = 28
    optimiser: Literal["prodigy", "adamw"] = "prodigy"
    adapter: Path | None = None


def test_pairs_are_split_at_the_first_equals_sign_and_the_last_of_equal_keys_wins() -> None:
    assert parse_pairs(["beta=500", "text = a = b", "beta=2"]) == {"beta": "2", "text": "a = b"}


def test_a_pair_without_equals_sign_is_refused() -> None:
    with pytest.raises(UserError, match=r"^'beta' is no option: write it as KEY=VALUE\.$"):
        parse_pairs(["beta"])


def test_the_user_overrides_the_backbone_which_overrides_the_method() -> None:
    overrides = {"beta": 5.0, "optimiser": "adamw"}
    options = resolve("sfo", Options, overrides, {"beta": "7", "adapter": "a/b.safetensors"})
    assert options == Options(beta=7.0, optimiser="adamw", adapter=Path("a/b.safetensors"))


def test_none_takes_a_value_away() -> None:
    assert resolve("sfo", Options, {"steps": 4}, {"steps": "none"}) == Options(steps=None)


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(UserError, match="Unknown option of sfo 'optimizer': did you mean optimis"):
        resolve("sfo", Options, {}, {"optimizer": "adamw"})


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("beta", "-1", "greater than 0"),
        ("beta", "strong", "valid number"),
        ("beta", "none", "valid number"),
        ("steps", "2.5", "valid integer"),
        ("optimiser", "sgd", "'prodigy' or 'adamw'"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_the_reason(
    key: str, value: str, reason: str
) -> None:
    sentence = rf"^The option {key}={value} of sfo does not fit.*{reason}"
    with pytest.raises(UserError, match=sentence):
        resolve("sfo", Options, {}, {key: value})


class Degraded(Frozen):
    how: Literal["blur", "none"] = "blur"
    file: Path | None = Path("a")


def test_none_is_a_value_where_an_option_has_one_of_that_name() -> None:
    found = resolve("toy", Degraded, {}, {"how": "none", "file": "none"})
    assert found == Degraded(how="none", file=None)
