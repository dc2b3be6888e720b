"""The command line says what is wrong in one sentence, and starts without torch."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from bench import registry
from bench.cli import app
from tests.commands import here
from tests.commands import json_here as bench_json
from tests.commands import refusal_here as refusal

RUN = ("run", "--method", "sfo", "--suite", "mini")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "--method", "sfoo", "--suite", "mini"), "did you mean sfo"),
        (("run", "--method", "sfo", "--suite", "mimi"), "did you mean mini"),
        (("run", "--method", "sfo", "--suite", "mini@7"), "mini@1"),
        ((*RUN, "--backbone", "flux-def"), "did you mean flux-dev"),
        ((*RUN, "--protocol", "hedline"), "headline"),
        ((*RUN, "--set", "betta=3"), "did you mean beta"),
        ((*RUN, "--set", "beta=much"), "beta=much"),
        ((*RUN, "--set", "beta"), "KEY=VALUE"),
        ((*RUN, "--seeds", "0"), "--seeds is 0"),
        ((*RUN, "--limit-subjects", "-1"), "--limit-subjects is -1"),
        ((*RUN, "--set", "adapter=nowhere.safetensors"), "nowhere.safetensors"),
        (("run", "--method", "sfo", "--suite", "dreambench"), "bench data add dreambench"),
        (("list", "suits"), "did you mean suites?"),
        (("compare", "nowhere", "nowhere"), "nowhere"),
        (("board", "add", "nowhere"), "nowhere"),
        (("data", "add", "dreambench", "nowhere"), "nowhere"),
        (("data", "verify", "dreambench"), "158"),
        (("mini", "train", "--stage", "bass"), "did you mean base?"),
        (("mini", "show", "nowhere"), "nowhere"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    assert expected in refusal(*arguments, home=tmp_path)


def test_a_backbone_that_is_not_here_names_the_command_that_fetches_it(tmp_path: Path) -> None:
    sentence = refusal(*RUN, "--backbone", "flux-dev", home=tmp_path)
    assert "bench weights fetch flux-dev" in sentence
    assert "GB" in sentence


def test_a_dry_run_counts_the_work_and_needs_neither_weights_nor_photographs(
    tmp_path: Path,
) -> None:
    plan = bench_json("run", "--method", "sfo", "--suite", "dreambench", "--dry-run", home=tmp_path)
    assert plan["n_images"] == 3000
    assert plan["options"]["beta"] == 1000
    assert plan["encoders"] == ["clip-vitb32-openai", "dino-vits16"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["methods", "suites", "metrics", "encoders", "backbones"])
def test_everything_listed_has_a_line_that_says_what_it_is(what: str, tmp_path: Path) -> None:
    rows = bench_json("list", what, home=tmp_path)
    assert rows
    assert all(len(row["what"]) > 10 for row in rows)


def test_every_metric_is_listed_with_its_version_and_its_definition(tmp_path: Path) -> None:
    rows = bench_json("list", "metrics", home=tmp_path)
    assert [row["name"].partition("@")[0] for row in rows] == sorted(registry.names("metric"))
    for row in rows:
        assert row["name"].rpartition("@")[2].isdecimal()
        assert "is better" in row["what"]
        assert len(row["definition"]) > 60


def test_the_doctor_tells_what_is_here_and_what_is_missing(tmp_path: Path) -> None:
    findings = bench_json("doctor", home=tmp_path)
    assert findings["backbone mini"] == "ready"
    assert "missing" in findings["data of dreambench@1"]
    assert findings["backbone flux-dev"].startswith("missing")


def test_mini_show_draws_a_row_for_each_prompt_shown(tmp_path: Path) -> None:
    small = ("--suite", "mini", "--limit-subjects", "2", "--set", "steps=2")
    made = here("run", "--method", "sft-base", *small, "--out", tmp_path / "run", home=tmp_path)
    assert made.returncode == 0, made.stderr
    done = here("mini", "show", tmp_path / "run", "--out", tmp_path / "grid.png", home=tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.height > 6 * 96
        assert len(np.unique(np.asarray(grid.convert("RGB")).reshape(-1, 3), axis=0)) > 1000


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group, by the words that call it."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


@pytest.mark.parametrize("words", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    told = CliRunner().invoke(app, [*words, "--help"])
    assert told.exit_code == 0, told.exception
    assert "Usage:" in told.output and len(told.output.splitlines()) > 5


HEAVY = {"torch", "diffusers", "transformers", "timm", "open_clip", "pandas"}


def modules_after(code: str) -> set[str]:
    """What a fresh interpreter has imported after running code."""
    code += "\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import bench, bench.api, bench.registry, bench.suites, bench.protocols, bench.cli",
        "import sys; sys.argv = ['bench', '--help']\n"
        "from bench.cli import main\n"
        "try: main()\nexcept SystemExit: pass",
        "from bench.listing import LISTS; [LISTS[name]() for name in LISTS if name != 'metrics']",
    ],
)
def test_neither_import_nor_help_nor_lists_import_torch(code: str) -> None:
    assert modules_after(code) & {*HEAVY, "scipy"} == set()


def test_the_metrics_are_listed_without_torch() -> None:
    assert modules_after("from bench.listing import LISTS; LISTS['metrics']()") & HEAVY == set()


def test_launchers_that_start_modules_start_the_command_line() -> None:
    command = [sys.executable, "-m", "bench", "list", "methods", "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "sfo" in {method["name"] for method in json.loads(told)}
