"""Metrics as a library."""

import subprocess
import sys

import numpy as np
import pytest

from bench import metrics, registry
from bench.errors import UserError
from bench.metrics.similarity import cosines, embed
from tests.networks import picture

IMAGES = [picture((40, 32), seed) for seed in range(3)]


def test_a_metric_is_a_function_of_images() -> None:
    from bench.metrics import Dino, encoder

    own = encoder("mini-dino")
    expected = cosines(embed(own, IMAGES[:2]), embed(own, IMAGES)).mean(axis=1)
    np.testing.assert_allclose(Dino(own)(IMAGES[:2], IMAGES), expected)


def test_every_built_in_metric_can_be_imported_by_its_class() -> None:
    for name, target in registry.BUILT_IN["metric"].items():
        attribute = target.partition(":")[2]
        assert attribute in dir(metrics) and attribute in metrics.__all__
        assert getattr(metrics, attribute)().name == name


def test_an_encoder_takes_a_precision() -> None:
    assert metrics.encoder("mini-clip").precision == "fp32"
    assert metrics.encoder("mini-clip", precision="bf16").precision == "bf16"


def test_unknown_names_are_said_to_be_so() -> None:
    with pytest.raises(UserError, match=r"Unknown encoder 'mini-dinos': did you mean mini-dino"):
        metrics.encoder("mini-dinos")
    with pytest.raises(AttributeError, match=r"bench\.metrics.*'Dinos'"):
        _ = metrics.Dinos


def test_importing_the_library_and_its_metrics_imports_no_torch() -> None:
    names = ", ".join(name for name in metrics.__all__)
    program = f"import sys; from bench.metrics import {names}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
