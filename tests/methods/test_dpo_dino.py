"""DPO-DINO: of two images of one condition, the one that is more like the reference."""

from pathlib import Path

import pytest

from bench.errors import UserError
from bench.methods import dpo_dino
from bench.methods.dpo_dino import DpoDino
from bench.methods.pair_folder import PairFolder
from bench.methods.similarity import similarities
from tests.methods.tiny_trainings import Events, given_adapter, tiny


def test_the_image_that_is_more_like_the_reference_is_preferred(
    events: Events, tmp_path: Path
) -> None:
    workspace, log = events
    method = tiny(DpoDino, given_adapter(tmp_path))
    method.base.train(workspace)
    examples = method.examples(workspace)
    pairs = PairFolder(workspace.cache / "pairs" / log[0]["folder"])
    assert pairs.draws == 2 and len(examples) == 3
    measured = similarities(pairs, method.corpus, "mini-dino", workspace)
    alike = {pairs.opener(one.index, one.draw)().tobytes(): one.to_reference for one in measured}
    assert len(alike) == 6
    for example in examples:
        assert example.positive and example.negative
        assert alike[example.positive().tobytes()] > alike[example.negative().tobytes()]


def test_a_judge_that_tells_nothing_apart_is_one_clear_sentence(
    events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = events
    monkeypatch.setattr(dpo_dino, "winners", lambda measured: {})
    with pytest.raises(UserError, match=r"equally like their references.*by the option judge"):
        tiny(DpoDino, given_adapter(tmp_path), steps=1).train(workspace)


def test_difficulty_means_nothing_here_and_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="difficulty is of pairs with a true target"):
        tiny(DpoDino, given_adapter(tmp_path), difficulty="low")
