"""What docs/guidance.md says of rules, commands and diffusers is what they are and do."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import registry
from bench.api import Case, Question
from bench.methods.backbones.backbone import OFF, Condition, Text
from bench.methods.backbones.sdxl import SdxlBackbone
from bench.methods.checkpoint import Checkpoint, CheckpointOptions
from bench.methods.guidance import KINDS, parse
from bench.options import parse_pairs, resolve
from bench.protocols import load_protocol
from bench.suites import list_downloads, load_suite
from tests.methods.tiny_loras import ATTENTION, diffusers_file, factors
from tests.methods.tiny_sdxl import RESOLUTION, stock

pytest_plugins = ["tests.methods.sdxl_fixtures"]
PAGE = (Path(__file__).parents[1] / "docs/guidance.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^bench run (.+)$", PAGE, re.MULTILINE)
[EXAMPLE] = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)


def test_the_table_names_every_rule_and_how_many_answers_it_asks_for() -> None:
    rows = re.findall(r"^\| `([^`:]+)[^|]*\|.*\| (\d) \|.*\|$", PAGE, re.MULTILINE)
    assert {name for name, _ in rows} == set(KINDS) and len(rows) == len(KINDS)
    text = Text(torch.zeros(1, 1, 1), torch.zeros(1, 1))
    condition = Condition(text, None, text)
    for name, answers in rows:
        asked = parse(name).asks(condition, lambda each: each, {"lora": 1.0})
        assert len(asked) == int(answers), name


def test_the_pre_trained_model_answers_where_the_table_says_so() -> None:
    """A formula has an e of its own exactly where a rule asks with every adapter off."""
    condition = Condition(Text(torch.zeros(1, 1, 1), torch.zeros(1, 1)), None)
    for formula in re.findall(r"^\| (`[^|]+)\| ([^|]+)\|", PAGE, re.MULTILINE):
        name = formula[0].strip("` ").partition(":")[0]
        if name in ("ag", "cfg+ag", "cfg", "none", "pg"):
            asked = parse(name).asks(condition, lambda each: each, {"lora": 1.0})
            plain = re.search(r"(?<!\w)e\(", formula[1]) is not None
            assert plain == any(each.weights == OFF for each in asked), name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_names_what_there_is(command: str) -> None:
    words = shlex.split(command)
    pairs = list(zip(words[::2], words[1::2], strict=True))
    said = {key: value for key, value in pairs if key != "--set"}
    options = parse_pairs([value for key, value in pairs if key == "--set"])
    if "--guidance" in said:
        options["rule"] = said["--guidance"]
    method, suite = registry.load("method", said["--method"]), said["--suite"]
    resolve(said["--method"], method.Options, {}, options)
    registry.require("backbone", said.get("--backbone", "mini"))
    if suite != "styles" and f"{suite}@1" not in list_downloads():
        load_protocol(load_suite(suite), said.get("--protocol"))


def test_the_example_draws_what_the_benchmark_draws(
    sdxl: SdxlBackbone, sdxl_home: Path, tmp_path: Path
) -> None:
    """On tiny weights, from the same noise, in as many steps: diffusers' loop and our own."""
    unet = stock(sdxl_home, None).unet
    path = diffusers_file(factors(unet, ATTENTION), "unet", tmp_path / "subject.safetensors")
    case = Case(
        suite="mini@1",
        subject="dog",
        prompt_index=0,
        prompt="a dog in snow",
        name="dog",
        reference="",
        seed=0,
    )
    example = EXAMPLE.replace(
        "stabilityai/stable-diffusion-xl-base-1.0", str(sdxl_home / "weights/sdxl")
    )
    example = example.replace("subject.safetensors", str(path))
    example = example.replace("output=", "**small, output=")
    small = {
        "height": RESOLUTION,
        "width": RESOLUTION,
        "num_inference_steps": 3,
        "generator": torch.Generator().manual_seed(case.noise_seed),
    }
    names: dict[str, Any] = {"small": small}
    exec(example, names)
    options = CheckpointOptions(lora=path, token="sks", steps=3, rule="pg:scale=7.5,omega=0.6")
    [ours] = Checkpoint(sdxl, options).generate([Question(case, None)])
    theirs = np.asarray(names["image"]).astype(int)
    assert np.abs(np.asarray(ours).astype(int) - theirs).max() <= 1
