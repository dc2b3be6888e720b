"""Boxes and masks against transformers' own ways, on the same small random networks."""

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, GroundingDinoForObjectDetection, SamModel, pipeline

from bench.errors import UserError
from bench.metrics import regions
from bench.metrics.regions import Box, Grounder, Grounding, Masker
from tests.networks import picture

pytest_plugins = ["tests.metrics.region_fixtures"]

IMAGES = [picture((80, 60), 0), picture((50, 70), 1), picture((64, 64), 2)]
NOUNS = ["dog", "cat", "mug"]
BOXES: list[Box] = [(3.0, 4.0, 50.5, 44.0), (-2.0, 10.0, 40.0, 75.0), (20.25, 8.0, 60.0, 60.0)]


def by_pipeline(folder: Path, image: Image.Image, text: str) -> dict[str, Any]:
    """The best of transformers' own pipeline, its box in whole pixels."""
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    detect = pipeline(
        "zero-shot-object-detection",
        model=GroundingDinoForObjectDetection.from_pretrained(folder),
        tokenizer=processor.tokenizer,
        image_processor=processor.image_processor,
        device="cpu",
    )
    best: dict[str, Any] = detect(image, candidate_labels=[text], threshold=0.35)[0]
    return best


def by_hand(folder: Path, image: Image.Image, text: str) -> Grounding:
    """The best of what the processor makes of the network's output."""
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    model = GroundingDinoForObjectDetection.from_pretrained(folder).eval()
    inputs = processor(images=image, text=text, return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    boxes = processor.post_process_grounded_object_detection(
        outputs, inputs.input_ids, threshold=0.35, target_sizes=[image.size[::-1]]
    )[0]
    score, at = boxes["scores"].max(dim=0)
    return Grounding(tuple(boxes["boxes"][at].tolist()), score.item())


@pytest.mark.parametrize("index", range(3))
def test_boxes_are_those_of_transformers_pipeline(detector: Path, index: int) -> None:
    expected = by_pipeline(detector, IMAGES[index], f"a {NOUNS[index]}.")
    (told,) = Grounder(detector).ground([IMAGES[index]], [NOUNS[index]])
    assert told.box is not None
    assert [int(at) for at in told.box] == list(expected["box"].values())
    assert told.score == pytest.approx(expected["score"], abs=1e-6)


@pytest.mark.parametrize("index", range(3))
def test_boxes_are_those_of_the_processor(detector: Path, index: int) -> None:
    expected = by_hand(detector, IMAGES[index], f"a {NOUNS[index]}.")
    (told,) = Grounder(detector).ground([IMAGES[index]], [NOUNS[index]])
    assert told.box == pytest.approx(expected.box, abs=1e-4)
    assert told.score == pytest.approx(expected.score, abs=1e-6)


def test_batches_and_order_change_no_box(detector: Path) -> None:
    together = Grounder(detector).ground(IMAGES, NOUNS)
    assert len(set(together)) == len(IMAGES)
    assert together[::-1] == Grounder(detector).ground(IMAGES[::-1], NOUNS[::-1])
    alone = [Grounder(detector).ground([i], [n])[0] for i, n in zip(IMAGES, NOUNS, strict=True)]
    assert together == alone


def test_what_is_looked_for_matters_and_its_capitals_do_not(detector: Path) -> None:
    grounder = Grounder(detector)
    dog, shouted, mug = grounder.ground([IMAGES[0]] * 3, ["dog", "DOG", "mug"])
    assert dog == shouted
    assert dog != mug


def test_a_confidence_at_the_threshold_is_not_above_it(
    detector: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grounder = Grounder(detector)
    (told,) = grounder.ground(IMAGES[:1], NOUNS[:1])
    monkeypatch.setattr(regions, "THRESHOLD", told.score)
    assert grounder.ground(IMAGES[:1], NOUNS[:1]) == [Grounding(None, told.score)]


def test_images_and_nouns_of_unequal_number_are_a_mistake(detector: Path) -> None:
    with pytest.raises(ValueError):
        Grounder(detector).ground(IMAGES, NOUNS[:2])


def masks_by_hand(folder: Path, image: Image.Image, box: Box) -> tuple[Any, Any]:
    """All three masks with their predicted overlaps."""
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(image, input_boxes=[[list(box)]], return_tensors="pt")
    with torch.no_grad():
        outputs = SamModel.from_pretrained(folder).eval()(
            pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"]
        )
    masks = processor.image_processor.post_process_masks(
        outputs.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )
    return masks[0][0].numpy(), outputs.iou_scores[0, 0].numpy()


@pytest.mark.parametrize("index", range(3))
def test_masks_are_the_best_of_sams_three(outliner: Path, index: int) -> None:
    candidates, overlaps = masks_by_hand(outliner, IMAGES[index], BOXES[index])
    (mask,) = Masker(outliner).mask([IMAGES[index]], [BOXES[index]])
    assert mask.dtype == np.bool_ and mask.shape == IMAGES[index].size[::-1]
    same = [np.array_equal(mask, candidate) for candidate in candidates]
    assert same == [overlap == overlaps.max() for overlap in overlaps]


@pytest.mark.parametrize("index", range(3))
def test_all_that_sam_proposes_can_be_had(outliner: Path, index: int) -> None:
    candidates, _ = masks_by_hand(outliner, IMAGES[index], BOXES[index])
    proposed = Masker(outliner).network.masks(IMAGES[index], BOXES[index])
    assert proposed.dtype == np.bool_ and np.array_equal(proposed, candidates)


def test_batches_and_order_change_no_mask(outliner: Path) -> None:
    together = Masker(outliner).mask(IMAGES, BOXES)
    reverse = Masker(outliner).mask(IMAGES[::-1], BOXES[::-1])[::-1]
    alone = [Masker(outliner).mask([i], [b])[0] for i, b in zip(IMAGES, BOXES, strict=True)]
    for masks in zip(together, reverse, alone, strict=True):
        assert all(np.array_equal(one, other) for one, other in pairwise(masks))


def test_the_box_decides_what_is_outlined(outliner: Path) -> None:
    one, other = Masker(outliner).mask([IMAGES[0]] * 2, BOXES[::2])
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("kind", [Grounder, Masker])
def test_the_recipe_follows_the_weights_and_needs_no_network(
    kind: type[Grounder] | type[Masker], detector: Path, outliner: Path, tmp_path: Path
) -> None:
    folder = detector if kind is Grounder else outliner
    finder = kind(folder)
    changed = shutil.copytree(folder, tmp_path / "changed")
    edit(changed, lambda state: {**state, min(state): state[min(state)] + 1})
    assert finder.recipe == kind(folder).recipe != kind(changed).recipe
    assert "network" not in vars(finder)


def edit(folder: Path, change: Any) -> None:
    """Another state in a folder's weights."""
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def test_another_networks_folder_is_said_so(detector: Path, outliner: Path) -> None:
    with pytest.raises(UserError, match="not those of 'grounding-dino-tiny'"):
        Grounder(outliner).ground(IMAGES[:1], NOUNS[:1])
    with pytest.raises(UserError, match="not those of 'sam-vit-base'"):
        Masker(detector).mask(IMAGES[:1], BOXES[:1])


@pytest.mark.parametrize("fault", ["missing", "misshapen", "truncated", "unprepared"])
def test_half_a_network_is_never_filled_with_made_up_numbers(
    outliner: Path, tmp_path: Path, fault: str
) -> None:
    folder = shutil.copytree(outliner, tmp_path / "half")
    file = folder / "model.safetensors"
    if fault == "missing":
        edit(folder, lambda state: {name: state[name] for name in sorted(state)[1:]})
    elif fault == "misshapen":
        edit(folder, lambda state: {**state, min(state): torch.zeros(1)})
    elif fault == "truncated":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        (folder / "processor_config.json").unlink()
    with pytest.raises(UserError, match="not those of 'sam-vit-base'"):
        Masker(folder).mask(IMAGES[:1], BOXES[:1])


def test_weights_that_are_not_here_are_named(home: Path) -> None:
    with pytest.raises(UserError, match="bench weights fetch grounding-dino-tiny"):
        Grounder()
    with pytest.raises(UserError, match="bench weights fetch sam-vit-base"):
        Masker()


def test_loading_draws_no_bars(outliner: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Masker(outliner).mask(IMAGES[:1], BOXES[:1])
    assert capfd.readouterr() == ("", "")
