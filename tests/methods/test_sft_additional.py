"""More SFT: the same first loss, on true targets alone."""

from pathlib import Path

import pytest
import torch

from bench.methods.comparative import FlowMatching
from bench.methods.examples import Examples, OnDemand
from bench.methods.sft_additional import SftAdditional
from tests.methods.tiny_trainings import Events, given_adapter, losses, tiny


def test_the_first_loss_is_that_of_the_sft_model(events: Events, tmp_path: Path) -> None:
    workspace, log = events
    method = tiny(SftAdditional, given_adapter(tmp_path), iterations=1, batch=1)
    method.train(workspace)
    assert isinstance(method.objective(), FlowMatching)
    encoding = OnDemand(method.backbone, method.corpus)
    batch = Examples(encoding, method.examples(workspace)).batch(0, 1)
    loss, _ = FlowMatching({"sft": 1.0})(method.backbone, batch, torch.Generator().manual_seed(0))
    assert losses(log, "sft-additional") == [pytest.approx(float(loss), rel=1e-5)]


def test_it_draws_no_pairs_and_sees_as_many_triplets_as_the_others(
    events: Events, tmp_path: Path
) -> None:
    workspace, log = events
    method = tiny(SftAdditional, given_adapter(tmp_path))
    method.train(workspace)
    assert not (workspace.cache / "pairs").exists()
    assert "pairs" not in {event["event"] for event in log}
    examples = method.examples(workspace)
    assert [example.index for example in examples] == method.indices(3)
    assert not any(example.positive or example.negative for example in examples)
