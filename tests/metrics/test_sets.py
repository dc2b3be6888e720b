"""What every metric of two sets does: refuse, leave groups out, encode images, need no torch."""

import subprocess
import sys

import numpy as np
import pytest

from bench import registry
from bench.metrics.cmmd import Cmmd, CmmdUnbiased
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.fid import Fid
from bench.metrics.kid import Kid
from bench.metrics.sets import SetDistance
from bench.metrics.similarity import embed
from tests.networks import picture

METRICS = [Fid(), Kid(), Cmmd(), CmmdUnbiased()]
every = pytest.mark.parametrize("metric", METRICS, ids=[metric.name for metric in METRICS])
ROWS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


@every
def test_it_says_what_it_is(metric: SetDistance) -> None:
    assert registry.load("metric", metric.name) is type(metric)
    assert registry.require("encoder", metric.encoder)
    assert metric.kind == "set" and not metric.higher_is_better
    assert metric.unit and metric.bias and metric.version == 1


@every
def test_too_few_images_are_refused(metric: SetDistance) -> None:
    few = ROWS[: metric.least - 1]
    with pytest.raises(ValueError, match=rf"{metric.name} needs at least {metric.least} images"):
        metric.score(few, ROWS)
    with pytest.raises(ValueError, match=rf"6 generated and {metric.least - 1} real"):
        metric.score(ROWS, few)
    assert np.isfinite(metric.score(ROWS[: metric.least], ROWS[-metric.least :]))


@every
def test_features_of_two_encoders_are_refused(metric: SetDistance) -> None:
    with pytest.raises(ValueError, match=r"one width"):
        metric.score(ROWS, ROWS[:, :2])


@every
def test_features_that_are_not_finite_are_refused(metric: SetDistance) -> None:
    broken = ROWS.copy()
    broken[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"not finite"):
        metric.score(ROWS, broken)


@every
def test_a_group_without_which_too_little_remains_is_not_left_out(metric: SetDistance) -> None:
    groups = np.array(["a", "a", "b", "b", "c", "c"])
    real_groups = np.array(["a", "a", "a", "a", "a", "a"])
    assert list(metric.leave_out(ROWS, ROWS, groups, real_groups)) == ["b", "c"]
    assert metric.leave_out(ROWS, ROWS, real_groups, groups) == {}


@every
def test_it_is_a_function_of_images(metric: SetDistance, clip: NetworkEncoder) -> None:
    images, real = ([picture((40, 32), seed) for seed in range(*of)] for of in ((0, 3), (3, 8)))
    told = type(metric)(clip)(images, real)
    assert told == metric.score(embed(clip, images), embed(clip, real))


def test_without_an_encoder_it_is_no_function_of_images() -> None:
    with pytest.raises(ValueError, match=r"fid was made without an encoder"):
        Fid()([picture((8, 8))] * 2, [picture((8, 8))] * 2)


def test_none_of_them_needs_torch() -> None:
    program = """
import sys
import numpy as np
from bench.metrics import inception_encoders
from bench.metrics.cmmd import Cmmd, CmmdUnbiased
from bench.metrics.fid import Fid
from bench.metrics.kid import Kid
rows, groups = np.random.default_rng(0).normal(size=(9, 2)), np.array(list("abcabcabc"))
for metric in (Fid(), Kid(), Cmmd(), CmmdUnbiased()):
    metric.score(rows, rows + 1)
    metric.leave_out(rows, rows + 1, groups, groups)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
