"""DDPO end to end: pairs, reward model, rounds of sampling, an adapter."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.api import Question
from bench.errors import UserError
from bench.identity import file_digest
from bench.methods import ddpo as module
from bench.methods.backbones.backbone import OFF, Backbone
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.mini import MiniNetworks, assemble
from bench.methods.ddpo import Ddpo, DdpoOptions
from bench.methods.rollouts import Plan, Policy, Rounds, noise_levels, picked
from bench.methods.sfo import Sfo, SfoOptions
from tests.methods.tiny_trainings import Events

TINY: Mapping[str, Any] = {
    "steps": 2,
    "sft_iterations": 1,
    "sft_batch": 1,
    "rank": 4,
    "iterations": 4,
    "batch": 2,
    "micro_batch": 1,
    "group": 2,
    "group_least": 2,
    "sde_steps": 2,
    "negatives": 2,
    "tokens": "image",
    "generic": "a photo of a {item}",
    "reward_iterations": 2,
    "reward_batch": 1,
    "reward_micro_batch": 1,
}


def fresh() -> FluxBackbone:
    """The same random mini backbone, as a new process would load it."""
    torch.manual_seed(0)
    return assemble(MiniNetworks().eval(), "test", None)


# --- a round --------------------------------------------------------------------------------------


class Darkness:
    """The darker, the better."""

    def score(self, prompts: list[str], references: Tensor, images: Tensor) -> Tensor:
        return -images.mean(dim=(1, 2, 3))


def rounds_of(backbone: FluxBackbone, corpus: Any, **changes: Any) -> Rounds:
    """Two groups of four images a round, in three steps of which two are random."""
    plan = Plan(batch=4, micro_batch=2, updates=2, group=4, least=2, clip=1e-4, beta=0.0, seed=0)
    weights = {"ddpo": 1.0}
    times = noise_levels(backbone, 3)
    policy = Policy(backbone, weights, times, 2, 0.9, "sde", backbone.spec.guidance or 1.0)
    return Rounds(policy, OFF, Darkness(), corpus, [0, 1, 2], replace(plan, **changes))


@pytest.fixture
def ready(flux: FluxBackbone, colours: Callable[..., Any]) -> tuple[FluxBackbone, Any]:
    """The tiny FLUX with a fresh adapter, and a corpus of three triplets."""
    flux.add_adapter("ddpo", 4, 0, "image")
    for parameter in flux.adapter_parameters("ddpo").values():
        parameter.requires_grad_(True)
    return flux, colours(flux.spec.resolution, 3)


Ready = tuple[FluxBackbone, Any]


def test_what_was_just_drawn_is_as_probable_as_it_was(ready: Ready) -> None:
    rounds = rounds_of(*ready)
    for index in range(4):
        _, figures = rounds(index, torch.Generator())
        assert figures["ratio"] == pytest.approx(1.0, abs=1e-6)
        assert figures["clip_fraction"] == 0.0


def test_every_image_and_every_random_step_is_learnt_from_once_a_round(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = rounds_of(*ready)
    seen: list[tuple[int, int]] = []

    def loss(now: Any, rows: list[int], step: int) -> tuple[Tensor, Mapping[str, float]]:
        seen.extend((row, step) for row in rows)
        return torch.zeros(()), {}

    monkeypatch.setattr(rounds, "_loss", loss)
    for index in range(8):
        rounds(index, torch.Generator())
    assert sorted(seen) == [(row, step) for row in range(8) for step in range(2)]


def test_a_group_shares_its_condition_and_no_noise(ready: Ready) -> None:
    rounds = rounds_of(*ready)
    drawn = rounds.round(0)
    assert len(drawn.condition.text.tokens) == 2
    starts = drawn.paths.x[0].flatten(1)
    assert len({tuple(row.tolist()) for row in starts}) == 8
    assert float(drawn.advantages[:4].sum()) == pytest.approx(0, abs=1e-4)
    assert float(drawn.advantages[4:].sum()) == pytest.approx(0, abs=1e-4)
    assert not torch.equal(rounds.round(1).paths.x[0], drawn.paths.x[0])
    assert torch.equal(rounds_of(*ready).round(0).paths.x, drawn.paths.x)


def test_training_makes_the_steps_to_better_images_more_probable(ready: Ready) -> None:
    backbone, corpus = ready
    rounds = rounds_of(backbone, corpus, batch=8, micro_batch=8, updates=1, group=8, clip=0.2)
    drawn = rounds.round(0)
    parameters = list(backbone.adapter_parameters("ddpo").values())
    optimiser = torch.optim.AdamW(parameters, lr=1e-3)
    for step in range(2):
        loss, _ = rounds(step, torch.Generator())
        loss.backward()
    optimiser.step()
    with torch.no_grad():
        gained = torch.stack(
            [
                rounds.policy.transition(drawn.paths.x[step], step, condition_of(drawn)).log_prob(
                    drawn.paths.x[step + 1]
                )
                - drawn.paths.log_probs[step]
                for step in range(2)
            ]
        )
    assert float((gained.sum(0) * drawn.advantages).mean()) > 0


def condition_of(drawn: Any) -> Any:
    return drawn.condition.repeated(8)


def test_the_kl_term_is_zero_at_first_and_holds_the_policy_back_later(ready: Ready) -> None:
    backbone, corpus = ready
    rounds = rounds_of(backbone, corpus, beta=1.0)
    _, figures = rounds(0, torch.Generator())
    assert figures["kl"] == pytest.approx(0, abs=1e-9)
    for path, parameter in backbone.adapter_parameters("ddpo").items():
        if ".lora_B." in path:
            torch.nn.init.normal_(parameter.data, std=0.1)
    loss, figures = rounds(0, torch.Generator())
    free, _ = rounds_with_beta(rounds, 0.0)(0, torch.Generator())
    assert figures["kl"] > 0
    assert float((loss - free).detach()) == pytest.approx(figures["kl"], rel=1e-4)


def rounds_with_beta(rounds: Rounds, beta: float) -> Rounds:
    """The same round, another strength."""
    rounds.plan = replace(rounds.plan, beta=beta)
    return rounds


def test_the_last_steps_are_eulers_so_that_images_carry_no_fresh_noise(ready: Ready) -> None:
    backbone, corpus = ready
    policy = rounds_of(backbone, corpus).policy
    drawn = rounds_of(backbone, corpus).round(0)
    x = drawn.paths.x[-1]
    with torch.no_grad():
        velocity = backbone.predict(
            x, x.new_full((8,), policy.times[2]), four_each(drawn), policy.weights, policy.guidance
        )
        expected = backbone.decode(x - policy.times[2] * velocity)
    torch.testing.assert_close(drawn.paths.images, expected, atol=1e-4, rtol=1e-4)


def four_each(drawn: Any) -> Any:
    return picked(drawn.condition, [0] * 4 + [1] * 4)


def test_a_backbone_that_is_no_flow_is_one_clear_sentence() -> None:
    class Unet:
        spec = replace(fresh().spec, name="sdxl")

    unet: Any = Unet()
    with pytest.raises(UserError, match="the backbone sdxl is none; use one of FLUX or mini"):
        noise_levels(unet, 3)


# --- the method -----------------------------------------------------------------------------------


def pixels(method: Ddpo, question: Question) -> bytes:
    (image,) = method.generate([question])
    content: bytes = image.tobytes()
    return content


def test_it_trains_from_nothing_and_is_loaded_by_a_later_process(
    events: Events, question: Question
) -> None:
    workspace, log = events
    method = Ddpo(fresh(), DdpoOptions(**TINY))
    method.train(workspace)
    json.dumps(log)
    kinds = list(dict.fromkeys(event["event"] for event in log if event["event"] != "encode"))
    assert kinds == ["train sft", "pairs", "train reward", "validate reward", "train ddpo"]
    steps = [event for event in log if event["event"] == "train ddpo"]
    assert [event["step"] for event in steps] == [1, 2, 3, 4]
    assert set(steps[0]) >= {"loss", "ratio", "clip_fraction", "reward", "reward_std"}
    assert steps[0]["ratio"] == pytest.approx(1.0, abs=1e-6)
    assert steps[0]["reward"] == steps[1]["reward"] != steps[2]["reward"]
    assert {path.name for path in workspace.folder.rglob("*.safetensors")} == {
        "sft.safetensors",
        "reward.safetensors",
        "ddpo.safetensors",
    }
    expected = pixels(method, question)
    log.clear()
    later = Ddpo(fresh(), DdpoOptions(**TINY))
    later.train(workspace)
    assert not log
    assert pixels(later, question) == expected
    zero(later.backbone.adapter_parameters("ddpo"))
    assert pixels(later, question) != expected


def zero(parameters: Mapping[str, torch.nn.Parameter]) -> None:
    for parameter in parameters.values():
        parameter.data.zero_()


class Killed(BaseException):
    """Stands for a kill."""


def test_a_killed_one_resumes_to_the_same_adapter_byte_for_byte(
    events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = events
    monkeypatch.setattr(module, "SAVE_EVERY", 1)
    undisturbed = replace(workspace, folder=tmp_path / "undisturbed")
    Ddpo(fresh(), DdpoOptions(**TINY)).train(undisturbed)
    workspace.folder.mkdir(parents=True)
    shutil.copy(undisturbed.folder / "reward.safetensors", workspace.folder)

    def progress(title: str, done: int, total: int) -> None:
        if (title, done) == ("train ddpo", 3):  # in the middle of the second round
            raise Killed

    with pytest.raises(Killed):
        Ddpo(fresh(), DdpoOptions(**TINY)).train(replace(workspace, progress=progress))
    Ddpo(fresh(), DdpoOptions(**TINY)).train(workspace)
    ours, theirs = (place.folder / "ddpo.safetensors" for place in (workspace, undisturbed))
    assert file_digest(ours) == file_digest(theirs)


def test_pairs_are_shared_with_sfo(events: Events, tmp_path: Path) -> None:
    workspace, log = events
    donor = fresh()
    donor.add_adapter("sft", 4, seed=0)
    donor.save_adapter("sft", tmp_path / "sft.safetensors")
    common = {"steps": 2, "negatives": 2, "adapter": tmp_path / "sft.safetensors"}
    for method in (Ddpo(fresh(), DdpoOptions(**common)), Sfo(fresh(), SfoOptions(**common))):
        method.base.train(workspace)
        method.examples(workspace)
    assert len({event["folder"] for event in log if event["event"] == "pairs"}) == 1


def test_it_takes_a_step_on_flux_with_the_users_blip(
    flux: FluxBackbone,
    events: Events,
    colours: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    question: Question,
) -> None:
    from tests.methods.test_reward import save_blip

    workspace, log = events
    corpus = colours(16, 4)
    monkeypatch.setattr("bench.methods.tuning.load_corpus", lambda name: corpus)
    monkeypatch.setattr("bench.methods.sft_base.load_corpus", lambda name: corpus)
    blip = save_blip(tmp_path / "blip")
    method = Ddpo(flux, DdpoOptions(**{**TINY, "iterations": 2, "blip": blip}))
    method.train(workspace)
    assert method.base.guidance == 3.5 and "blip" in method.inputs
    steps = [event for event in log if event["event"] == "train ddpo"]
    assert steps[0]["ratio"] == pytest.approx(1.0, abs=1e-5)
    assert all(math.isfinite(event["loss"]) for event in steps)
    (image,) = method.generate([question])
    assert image.size == (16, 16)


# --- options --------------------------------------------------------------------------------------


def test_published_settings_are_the_defaults() -> None:
    options = DdpoOptions()
    assert (options.optimiser, options.lr, options.clip, options.beta) == ("adamw", 3e-4, 1e-4, 0)
    assert (options.noise_level, options.sde_steps, options.rank) == (0.9, 6, 16)
    recipe = Ddpo(fresh(), DdpoOptions(micro_batch=64)).recipe()
    assert (recipe.betas, recipe.weight_decay, recipe.clip) == ((0.9, 0.999), 1e-4, 1.0)
    assert recipe.accumulate == 5 and recipe.save_every % options.updates == 0


def test_every_option_and_every_override_is_documented_and_valid() -> None:
    assert all(field.description for field in DdpoOptions.model_fields.values())
    for overrides in Ddpo.overrides.values():
        DdpoOptions(**overrides)
    Ddpo(fresh(), DdpoOptions(**Ddpo.overrides["mini"]))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"group": 5}, "needs that group=5 divides batch x updates=128"),
        ({"updates": 3, "batch": 16, "group": 8}, "needs that updates=3 divides iterations=200"),
        ({"reward_micro_batch": 7}, "needs that reward_micro_batch=7 divides reward_batch=64"),
        ({"micro_batch": 5}, "micro_batch=5 of ddpo does not divide batch=64"),
        ({"t_std": 0.5}, "option t_std means nothing to ddpo"),
    ],
)
def test_options_that_do_not_fit_are_one_clear_sentence(
    given: Mapping[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        Ddpo(fresh(), DdpoOptions(**given))


def test_a_backbone_of_photographs_needs_a_blip(flux: Backbone) -> None:
    with pytest.raises(UserError, match="--set blip=FOLDER"):
        Ddpo(flux, DdpoOptions())
