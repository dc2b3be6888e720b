"""RPO's reward, labels and loss, held to numbers worked out by hand and to their limits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.methods.rpo_objective import chance, harmonic, loss, similarity

unit = st.floats(0.01, 1.0)


def one(value: float) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return np.array([value])


def test_cosines_become_similarities_between_none_and_all() -> None:
    np.testing.assert_array_equal(similarity(np.array([-1.0, 0.0, 0.5, 1.0])), [0, 0.5, 0.75, 1])


def test_the_reward_is_the_weighted_harmonic_mean() -> None:
    """1 / (0.3 / 0.5 + 0.7 / 0.875) = 1 / 1.4."""
    assert harmonic(one(0.5), one(0.875), 0.3)[0] == pytest.approx(1 / 1.4, rel=1e-7)
    assert harmonic(one(0.8), one(0.4), 0.5)[0] == pytest.approx(0.64 / 1.2, rel=1e-7)


@given(references=unit, text=unit)
def test_at_its_ends_the_reward_is_one_similarity_itself(references: float, text: float) -> None:
    assert harmonic(one(references), one(text), 0)[0] == text
    assert harmonic(one(references), one(text), 1)[0] == references


@given(both=unit, share=st.floats(0, 1))
def test_of_equal_similarities_the_reward_is_that_similarity(both: float, share: float) -> None:
    assert harmonic(one(both), one(both), share)[0] == pytest.approx(both, rel=1e-5)


@given(references=unit, text=unit, share=st.floats(0.05, 0.95))
def test_the_reward_lies_between_the_two_and_below_their_mean(
    references: float, text: float, share: float
) -> None:
    reward = harmonic(one(references), one(text), share)[0]
    mean = share * references + (1 - share) * text
    assert min(references, text) - 1e-5 <= reward <= mean + 1e-5


def test_what_is_like_nothing_is_worth_nothing() -> None:
    assert harmonic(one(0.0), one(0.9), 0.5)[0] == pytest.approx(0, abs=1e-7)


def test_labels_favour_the_photograph_as_often_as_the_sigmoid_says() -> None:
    """sigmoid(0.9 - 0.5) = 0.59869; over 40,000 labels three deviations are 0.0074."""
    odds = chance(one(0.9), one(0.5))
    assert odds[0] == pytest.approx(0.598687660112452, rel=1e-12)
    generator = torch.Generator().manual_seed(0)
    labels = torch.bernoulli(torch.full((40_000,), float(odds[0])), generator=generator)
    assert labels.mean().item() == pytest.approx(0.598688, abs=0.0074)
    assert chance(one(0.7), one(0.7))[0] == 0.5


def tensors(*values: list[float]) -> list[torch.Tensor]:
    return [torch.tensor(value, dtype=torch.float64) for value in values]


def test_the_loss_is_what_a_hand_computes() -> None:
    """Two pairs, k = (0.5, -0.3) by the errors below, labels 1 and 0."""
    policy = tensors([0.4, 0.9], [1.2, 0.7])
    reference = tensors([0.7, 0.8], [1.0, 0.9])
    [labels] = tensors([1.0, 0.0])
    found = loss((policy[0], policy[1]), (reference[0], reference[1]), labels)
    preference = (math.log1p(math.exp(-0.5)) + math.log1p(math.exp(-0.3))) / 2
    assert found.fidelity == pytest.approx(0.65, rel=1e-12)
    assert found.preference == pytest.approx(preference, rel=1e-12)
    assert found.total.item() == pytest.approx(0.65 + preference, rel=1e-12)


def test_beta_scales_the_margin_alone() -> None:
    policy, reference = tensors([0.4], [1.2]), tensors([0.7], [1.0])
    [labels] = tensors([0.0])
    found = loss((policy[0], policy[1]), (reference[0], reference[1]), labels, beta=4.0)
    assert found.preference == pytest.approx(math.log1p(math.exp(4 * 0.5)), rel=1e-12)
    assert found.fidelity == pytest.approx(0.4, rel=1e-12)


def test_an_untrained_policy_loses_ln_2_beside_its_error_whatever_the_labels() -> None:
    errors = tensors([0.3, 0.5], [0.2, 0.9])
    for labels in tensors([1.0, 1.0], [0.0, 1.0]):
        found = loss((errors[0], errors[1]), (errors[0], errors[1]), labels)
        assert found.preference == pytest.approx(math.log(2), rel=1e-12)
        assert found.total.item() == pytest.approx(0.4 + math.log(2), rel=1e-12)


def test_a_label_for_the_generated_image_pulls_the_other_way() -> None:
    """At k = 0 the gradient on the photograph's error is 1 +- 1/2, on the other's -+ 1/2."""
    for label, slopes in ((1.0, (1.5, -0.5)), (0.0, (0.5, 0.5))):
        photographs, generated, labels = tensors([0.3], [0.2], [label])
        photographs.requires_grad_(True)
        generated.requires_grad_(True)
        frozen = photographs.detach(), generated.detach()
        loss((photographs, generated), frozen, labels).total.backward()
        assert photographs.grad is not None and generated.grad is not None
        assert (photographs.grad.item(), generated.grad.item()) == pytest.approx(slopes)
