"""An accelerator without enough memory: fewer images at once, down to one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.api import Question
from bench.methods.sft_base import SftBase
from tests.commands import here, refusal_here
from tests.faults.lives import IMAGES, SMALL

RUN = ("run", "--method", "sft-base", *SMALL)
AT_ONCE = 5


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A method that can draw no more images at once than ``{"at_once": n}``."""
    room, generate = {"at_once": AT_ONCE}, SftBase.generate

    def out_of_memory(self: Any, questions: Sequence[Question]) -> Any:
        if len(questions) > room["at_once"]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return generate(self, questions)

    monkeypatch.setattr(SftBase, "generate", out_of_memory)
    return room


def pixels(run: Path) -> dict[str, Any]:
    return {
        file.relative_to(run).as_posix(): np.asarray(Image.open(file), dtype=int)
        for file in run.glob("images/*/*.png")
    }


def test_groups_are_halved_until_they_fit_and_the_log_says_so(
    limited: dict[str, int], tmp_path: Path
) -> None:
    """One rounding of a pixel is what another number of images at once may change."""
    for name, room in (("short", AT_ONCE), ("ample", IMAGES)):
        limited["at_once"] = room
        done = here(*RUN, "--out", tmp_path / name, home=tmp_path / "home")
        assert done.returncode == 0, done.stderr
    short, ample = pixels(tmp_path / "short"), pixels(tmp_path / "ample")
    assert len(short) == IMAGES and short.keys() == ample.keys()
    assert all(np.abs(short[name] - ample[name]).max() <= 1 for name in short)
    log = (tmp_path / "short/log.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, log) if event["event"] == "out of memory"]
    assert events and all(event["images"] > AT_ONCE for event in events)
    assert all(event["halved"] == (event["images"] + 1) // 2 for event in events)
    assert "out of memory" not in (tmp_path / "ample/log.jsonl").read_text()


def test_memory_that_does_not_suffice_for_one_image_is_one_sentence_and_mended_by_more(
    limited: dict[str, int], tmp_path: Path
) -> None:
    limited["at_once"] = 0
    sentence = refusal_here(*RUN, "--out", tmp_path / "run", home=tmp_path / "home")
    assert "memory does not suffice for one image of 'sft-base' on 'mini'" in sentence
    limited["at_once"] = AT_ONCE
    assert here(*RUN, "--out", tmp_path / "run", home=tmp_path / "home").returncode == 0
