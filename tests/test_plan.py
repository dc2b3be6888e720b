"""Guidance is a part of what a run is, where it is asked for."""

import pytest

from bench.errors import UserError
from bench.plan import Request, make_plan


def options(guidance: str | None, method: str = "text-only") -> dict[str, object]:
    request = Request(method=method, suite="mini", limit_subjects=1, guidance=guidance)
    return dict(make_plan(request).options)


def test_a_plan_spells_guidance_out_only_where_it_is_asked_for() -> None:
    assert options("pg") == {**options(None), "rule": "pg:scale=7.5,omega=0.6"}
    assert "rule" not in options(None)
    assert options("none")["rule"] == "none"


@pytest.mark.parametrize("method", ["sft-base", "sfo", "ddpo", "rpo", "dreambooth", "text-only"])
def test_whoever_draws_with_the_samplers_here_can_be_guided(method: str) -> None:
    assert options("cfg", method)["rule"] == "cfg:7.5"


def test_a_method_that_draws_in_its_own_way_refuses_guidance() -> None:
    with pytest.raises(UserError, match=r"^'oracle' draws in a way of its own.*--guidance\.$"):
        options("cfg", "oracle")


def test_guidance_that_nobody_knows_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(UserError, match="Unknown guidance 'cgf'"):
        options("cgf:7.5")
