"""Class images: kept by what they follow from, drawn by the plain backbone."""

from dataclasses import replace
from typing import Any

import pytest

from bench.api import Workspace
from bench.errors import UserError
from bench.methods.class_images import class_images
from bench.methods.text_to_image import TextToImage
from tests.methods.tiny_trainings import fresh


def folders(workspace: Workspace) -> int:
    return len(list((workspace.cache / "class-images").iterdir()))


def test_an_adapter_on_the_backbone_has_no_part_in_them(
    workspace: Workspace, tmp_path: Any
) -> None:
    elsewhere = replace(workspace, cache=tmp_path / "elsewhere")
    backbone = fresh()
    backbone.add_adapter("some", 2, 0, "image")
    for value in backbone.adapter_parameters("some").values():
        value.data.fill_(1.0)
    plain = class_images(TextToImage(fresh(), 1, 1.0), "a mug", 2, 0, workspace)
    adapted = class_images(TextToImage(backbone, 1, 1.0), "a mug", 2, 0, elsewhere)
    assert [image.tobytes() for image in plain] == [image.tobytes() for image in adapted]
    assert plain[0].tobytes() != plain[1].tobytes()


@pytest.mark.parametrize("changed", ["prompt", "count", "seed", "steps"])
def test_others_lie_elsewhere(workspace: Workspace, changed: str) -> None:
    asked: dict[str, Any] = {"prompt": "a mug", "count": 1, "seed": 0, "steps": 1}
    for wish in (asked, {**asked, changed: "a car" if changed == "prompt" else 2}, asked):
        model = TextToImage(fresh(), wish["steps"], 1.0)
        class_images(model, wish["prompt"], wish["count"], wish["seed"], workspace)
    assert folders(workspace) == 2


def test_a_damaged_one_is_named_and_drawn_again_by_the_next_run(workspace: Workspace) -> None:
    model = TextToImage(fresh(), 1, 1.0)
    first = class_images(model, "a mug", 2, 0, workspace)
    [folder] = (workspace.cache / "class-images").iterdir()
    (folder / "0001.png").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"0001\.png"):
        class_images(model, "a mug", 2, 0, workspace)
    again = class_images(model, "a mug", 2, 0, workspace)
    assert [image.tobytes() for image in again] == [image.tobytes() for image in first]
