"""The training loop: killed and resumed it ends where an undisturbed one ends."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import UserError
from bench.methods.loop import Recipe, Training, rate

ADAMW = Recipe(steps=11, lr=0.05, warmup=3, decay=0.5, accumulate=2, ema=0.9, save_every=3)
PRODIGY = Recipe(steps=11, optimiser="prodigy", lr=1.0, d0=1e-3, clip=0.5, save_every=3)


class Killed(Exception):
    """Stands for a kill in the middle of a step."""


def network() -> nn.Linear:
    """Half of it starts at zero, as an adapter does."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.bias)
    return layer.requires_grad_(False)


def train(
    folder: Path, recipe: Recipe, kill_at: int | None = None, batch: int = 2
) -> tuple[dict[str, Tensor], list[Mapping[str, Any]]]:
    """Fit a line to noisy points, each micro-step's from its own generator."""
    layer = network()
    log: list[Mapping[str, Any]] = []

    def loss_of(index: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if index == kill_at:
            raise Killed
        x = torch.randn(batch, 3, generator=generator)
        y = x @ torch.tensor([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0]])
        return F.mse_loss(layer(x), y), {"index": float(index)}

    training = Training(dict(layer.named_parameters()), recipe, folder, seed=1)
    return training.run(loss_of, log.append), log


@pytest.mark.parametrize("recipe", [ADAMW, PRODIGY], ids=["adamw", "prodigy"])
@pytest.mark.parametrize("kills", [[0], [1], [9], [10], [4, 7, 10]])
def test_killed_and_resumed_it_ends_with_the_same_weights(
    tmp_path: Path, recipe: Recipe, kills: list[int]
) -> None:
    undisturbed, _ = train(tmp_path / "undisturbed", recipe)
    for step in kills:
        with pytest.raises(Killed):
            train(tmp_path / "killed", recipe, kill_at=step * recipe.accumulate)
    resumed, log = train(tmp_path / "killed", recipe)
    assert all(torch.equal(resumed[name], value) for name, value in undisturbed.items())
    last_saved = max((step // 3 * 3 for step in kills), default=0)
    assert log[0]["step"] in (last_saved + 1, recipe.steps)


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    finished, _ = train(tmp_path, ADAMW)
    again, log = train(tmp_path, ADAMW, kill_at=0)
    assert not log
    assert all(torch.equal(again[name], value) for name, value in finished.items())


def test_training_fits_and_the_average_is_not_the_last_weights(tmp_path: Path) -> None:
    long = replace(ADAMW, steps=150)
    averaged, log = train(tmp_path / "averaged", long)
    last, _ = train(tmp_path / "last", replace(long, ema=0.0))
    assert log[-1]["loss"] < 0.05 * log[0]["loss"]
    assert not torch.equal(averaged["weight"], last["weight"])
    torch.testing.assert_close(averaged["weight"], last["weight"], rtol=0, atol=0.1)


def test_accumulation_is_one_big_batch(tmp_path: Path) -> None:
    """Four losses of one sample against one loss over the same four samples."""
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(3))

    def trained(accumulate: int) -> Tensor:
        layer = network()
        size = 4 // accumulate
        recipe = Recipe(steps=3, accumulate=accumulate, clip=0.1)
        folder = tmp_path / str(accumulate)
        training = Training(dict(layer.named_parameters()), recipe, folder, seed=0)

        def loss_of(index: int, _: torch.Generator) -> tuple[Tensor, dict[str, float]]:
            part = index % accumulate
            return layer(x[part * size : (part + 1) * size]).square().mean(), {"one": 1.0}

        log: list[Mapping[str, Any]] = []
        weight: Tensor = training.run(loss_of, log.append)["weight"]
        assert log[0]["one"] == 1.0
        return weight

    whole, parts = trained(1), trained(4)
    assert not torch.equal(whole, network().weight)
    torch.testing.assert_close(whole, parts, rtol=1e-6, atol=1e-7)


def test_prodigy_keeps_quiet_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, PRODIGY)
    assert capsys.readouterr().out == ""


def test_prodigy_finds_its_own_rate(tmp_path: Path) -> None:
    weights, log = train(tmp_path, replace(PRODIGY, steps=200, d0=1e-6, save_every=200))
    assert (weights["weight"] - network().weight).abs().max() > 1
    assert log[-1]["loss"] < 0.05 * log[0]["loss"]


def test_only_the_first_every_nth_and_the_last_step_are_logged(tmp_path: Path) -> None:
    def steps(every: int) -> list[int]:
        recipe = replace(PRODIGY, log_every=every)
        return [event["step"] for event in train(tmp_path / str(every), recipe)[1]]

    assert steps(4) == [1, 5, 9, 11]
    assert steps(1) == list(range(1, 12))


def test_the_parameters_are_frozen_again_afterwards(tmp_path: Path) -> None:
    layer = network()
    training = Training(dict(layer.named_parameters()), Recipe(steps=1), tmp_path, seed=0)
    assert all(parameter.requires_grad for parameter in layer.parameters())
    training.run(lambda index, generator: (layer(torch.ones(1, 3)).sum(), {}), lambda event: None)
    assert not any(parameter.requires_grad for parameter in layer.parameters())


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty"])
def test_a_damaged_checkpoint_is_one_clear_sentence(tmp_path: Path, damage: str) -> None:
    train(tmp_path, ADAMW)
    whole = (tmp_path / "state.pt").read_bytes()
    content = {"garbage": b"no checkpoint", "truncated": whole[:-200], "empty": b""}[damage]
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"state\.pt is damaged or of another training; delete it"):
        train(tmp_path, ADAMW)


def test_a_checkpoint_of_another_network_is_one_clear_sentence(tmp_path: Path) -> None:
    train(tmp_path, ADAMW)
    for other in (nn.Linear(3, 4), nn.Sequential(nn.Linear(3, 2))):
        with pytest.raises(UserError, match="of another training"):
            Training(dict(other.named_parameters()), ADAMW, tmp_path, seed=1)


def test_the_rate_warms_up_stays_and_decays_to_zero() -> None:
    recipe = Recipe(steps=100, warmup=4, decay=0.2)
    rates = [rate(recipe, step) for step in range(100)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[80] == 1.0 and rates[90] == 0.5
    assert rates[99] == pytest.approx(0.05)
    assert [rate(Recipe(steps=5), step) for step in range(5)] == [1.0] * 5
