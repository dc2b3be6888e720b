"""Descents through images: the best iterate, when it is over, and going on after a kill."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.api import Workspace
from bench.errors import UserError
from bench.methods.iterates import Best, Descent, Watch, forget, open_png, optimise
from bench.methods.likeness import Loss
from tests.methods.tiny_trainings import Killed, kill_at

TARGET = 0.8
DESCENT = Descent(iterations=12, lr=0.1, weight_decay=0.0, patience=5, threshold=3.0, save_every=4)


def watched(losses: list[float], patience: int = 2, threshold: float = 3.0) -> tuple[int, int]:
    """Number of losses that were looked at, and the best of them."""
    watch = Watch(patience, threshold)
    for loss in losses:
        if not watch.over:
            watch.see(loss)
    return watch.steps, watch.best


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([5.0, 4.0, 3.0, 2.0], (4, 3)),
        ([5.0, 4.99, 4.98, 1.0], (3, 2)),  # positive: 2 percent is none, 1.03 times is worse still
        ([1.0, 1.02, 1.02, 0.1], (3, 0)),
        ([-1.0, -1.02, -1.01, -9.0], (3, 1)),  # negative: the best moves on, patience does not
        ([-1.0, -1.02, -1.04, -1.06, -1.07], (5, 4)),  # what adds up to 3 percent counts
        ([0.5, 0.01, -0.01, -0.011, -0.5], (5, 4)),  # through zero
        ([0.0, 0.0, 0.0, -1.0], (3, 0)),  # at zero only what is below it
        ([0.0, -1e-9, -2e-9], (3, 2)),
        ([3.0, math.nan, 1.0], (2, 0)),  # what is no number stays one
        ([3.0, 2.0, math.inf, 1.0], (3, 1)),
        ([math.nan, 1.0], (1, -1)),
        ([2.0, 2.0, 1.0], (3, 2)),  # equal is not better, and patience of 2 outlives one
    ],
)
def test_scripted_losses_end_and_have_their_best_as_expected(
    losses: list[float], expected: tuple[int, int]
) -> None:
    assert watched(losses) == expected


LOSSES = st.lists(st.floats(-4, 4).map(lambda loss: round(loss, 3)), min_size=1, max_size=30)


@given(LOSSES)
def test_the_best_is_the_first_of_the_least_losses_that_were_seen(losses: list[float]) -> None:
    seen, best = watched(losses)
    assert best == losses.index(min(losses[:seen]))


@given(st.lists(st.floats(0.1, 4), min_size=1, max_size=30), st.integers(1, 5))
def test_an_improvement_is_what_it_is_for_the_share_of_the_last_one(
    losses: list[float], patience: int
) -> None:
    """Losses on a scale of their own are watched alike."""
    assert watched(losses, patience) == watched([1024 * loss for loss in losses], patience)


@given(LOSSES)
def test_whatever_is_below_is_an_improvement_where_none_is_demanded(losses: list[float]) -> None:
    falling = sorted(set(losses), reverse=True)
    assert watched(falling, patience=1, threshold=0.0) == (len(falling), len(falling) - 1)


def painter() -> tuple[dict[str, nn.Parameter], Any, Any]:
    """A plain image of one weight, and how far it is from the target."""
    grey = nn.Parameter(torch.tensor(0.2))

    def draw() -> Tensor:
        return grey.expand(1, 3, 4, 4)

    def judge(image: Tensor) -> Loss:
        total = (image.mean() - TARGET).abs()
        return Loss(total, {"grey": image.mean().item()})

    return {"grey": grey}, draw, judge


def done(workspace: Workspace, descent: Descent = DESCENT) -> tuple[Best, float]:
    parameters, draw, judge = painter()
    best = optimise(parameters, draw, judge, descent, workspace)
    assert not parameters["grey"].requires_grad
    return best, parameters["grey"].item()


def test_the_weights_are_the_best_iterates_and_not_the_last_ones(workspace: Workspace) -> None:
    """Steps of 0.1 from 0.2 come to 0.8 at the sixth, and go on beyond it."""
    best, grey = done(workspace)
    assert best.step == 6
    assert grey == pytest.approx(TARGET, abs=0.02)
    assert best.loss == pytest.approx(abs(grey - TARGET), abs=1e-6)
    assert best.image.getpixel((0, 0)) == (round(grey * 255),) * 3
    seen = lines(workspace.folder)
    assert len(seen) > best.step + 1 and seen[-1]["loss"] > best.loss


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]


def test_every_iterate_can_be_looked_at(
    events: tuple[Workspace, list[Mapping[str, Any]]],
) -> None:
    workspace, log = events
    best, _ = done(workspace)
    told = lines(workspace.folder)
    assert [event["loss"] for event in log] == [line["loss"] for line in told]
    for line in told:
        image = open_png(workspace.folder / f"{line['step']:03.0f}.png")
        assert image.getpixel((1, 1)) == (round(line["grey"] * 255),) * 3
    sheet = open_png(workspace.folder / "sheet.png")
    framed = [sheet.getpixel((134 * (k % 10), 134 * (k // 10))) for k in range(len(told))]
    assert [k for k, colour in enumerate(framed) if colour == (255, 0, 0)] == [best.step]


@pytest.mark.parametrize("at", [1, 4, 7, 9])
def test_killed_it_goes_on_to_the_same_end(workspace: Workspace, tmp_path: Path, at: int) -> None:
    calm = replace(workspace, folder=tmp_path / "calm")
    with pytest.raises(Killed):
        done(replace(workspace, progress=kill_at("optimise", at)))
    assert done(workspace)[1] == done(calm)[1]
    assert files(workspace.folder).keys() == files(calm.folder).keys()
    for name in ("losses.jsonl", "sheet.png", "006.png"):
        assert files(workspace.folder)[name] == files(calm.folder)[name]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_finished_one_draws_nothing_more_until_it_is_forgotten(workspace: Workspace) -> None:
    expected = done(workspace)[1]
    parameters, _, judge = painter()

    def never() -> Tensor:
        raise Killed

    assert optimise(parameters, never, judge, DESCENT, workspace).step == 6
    assert parameters["grey"].item() == expected
    forget(workspace.folder)
    with pytest.raises(Killed):
        optimise(parameters, never, judge, DESCENT, workspace)


def test_what_comes_to_no_number_is_one_clear_sentence(workspace: Workspace) -> None:
    parameters, draw, _ = painter()
    with pytest.raises(UserError, match=r"came to no number; remove it and give a smaller .*lr"):
        optimise(
            parameters, draw, lambda image: Loss(image.mean() * math.nan, {}), DESCENT, workspace
        )


def test_a_damaged_checkpoint_is_one_clear_sentence(workspace: Workspace) -> None:
    done(workspace)
    (workspace.folder / "state.pt").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"state\.pt is damaged or of another training"):
        done(workspace)
