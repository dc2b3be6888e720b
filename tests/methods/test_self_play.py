"""Self-Play: the model's own images of the undegraded condition, against the targets."""

import json
from pathlib import Path

from bench.api import Workspace
from bench.methods.mini_corpus import MiniWorld
from bench.methods.sampling import draw
from bench.methods.self_play import SelfPlay
from tests.methods.tiny_trainings import Events, given_adapter, tiny


def test_negatives_are_what_sft_base_draws_from_the_very_condition(
    workspace: Workspace, tmp_path: Path
) -> None:
    method = tiny(SelfPlay, given_adapter(tmp_path), negatives=1)
    method.base.train(workspace)
    (example,) = method.examples(workspace)
    (folder,) = (workspace.cache / "pairs").iterdir()
    (item,) = json.loads((folder / "manifest.json").read_text())["items"]
    triplet = MiniWorld()[example.index]
    assert item["drawn_from"] == item["prompt"] == triplet.prompt
    how = ({"sft": 1.0}, 2, 1.0)
    (expected,) = draw(method.backbone, [triplet.prompt], [triplet.reference], item["seeds"], *how)
    assert example.negative is not None
    assert example.negative().tobytes() == expected.tobytes()


def test_the_target_is_preferred(events: Events, tmp_path: Path) -> None:
    workspace, _ = events
    method = tiny(SelfPlay, given_adapter(tmp_path))
    method.base.train(workspace)
    examples = method.examples(workspace)
    assert [example.index for example in examples] == method.indices(3)
    assert all(example.positive is None for example in examples)
