"""`bench weights` as a user types it."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from bench.sources import SOURCES
from tests.commands import bench, bench_json, environment, refusal
from tests.server import Server, repository, serving

TENSORS = save({"weight": np.arange(6, dtype=np.float32)})


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A machine with nothing on it, whose Hugging Face hub has two repositories."""
    files = {"README.md": b"about", "config.json": b"{}", "model.safetensors": TENSORS}
    served = {
        **repository("timm/vit_small_patch16_224.dino", files),
        **repository("facebook/sam-vit-base", files),
    }
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(served) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.safetensors").write_bytes(TENSORS)
    return tmp_path / "mine.safetensors"


def test_the_list_says_what_is_here_and_on_what_terms(tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = {row["name"]: row for row in bench_json("weights", "list", home=home)}
    assert set(before) == set(SOURCES)
    assert {name for name, row in before.items() if row["here"] == "yes"} == {
        "mini",
        "mini-dino",
        "mini-clip",
    }
    assert before["dino-vits16"] == {
        "name": "dino-vits16",
        "what": "DINO ViT-S/16",
        "kind": "encoder",
        "size": 87_000_000,
        "volume": "87 MB",
        "licence": "Apache-2.0",
        "from": "https://huggingface.co/timm/vit_small_patch16_224.dino",
        "sha256": None,
        "here": "no",
        "path": None,
    }
    assert bench("weights", "add", "dino-vits16", mine(tmp_path), home=home).returncode == 0
    (row,) = (r for r in bench_json("weights", "list", home=home) if r["name"] == "dino-vits16")
    assert (row["here"], row["path"]) == ("yes", str(home / "weights/dino-vits16.safetensors"))


def test_the_table_fits_a_hundred_columns_and_cuts_nothing_off(tmp_path: Path) -> None:
    done = bench("weights", "list", home=tmp_path)
    assert done.returncode == 0 and "…" not in done.stdout
    assert max(len(line.rstrip()) for line in done.stdout.splitlines()) <= 100
    assert all(name in done.stdout for name in SOURCES)
    assert "[dev]" in done.stdout


def test_a_file_of_the_hub_is_fetched_once_its_terms_are_said(tmp_path: Path, hub: Server) -> None:
    done = bench("weights", "fetch", "dino-vits16", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first == (
        "dino-vits16: 87 MB, licence Apache-2.0, from "
        "https://huggingface.co/timm/vit_small_patch16_224.dino"
    )
    path = Path(last.split(" are at ")[1].removesuffix("."))
    assert path.read_bytes() == TENSORS
    hub.files.clear()
    again = bench("weights", "fetch", "dino-vits16", home=tmp_path / "home")
    assert again.stdout.splitlines() == [last]


def test_of_a_repository_only_what_is_read_is_fetched(tmp_path: Path) -> None:
    done = bench("weights", "fetch", "sam-vit-base", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.splitlines()[-1].split(" are at ")[1].removesuffix("."))
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}


@pytest.mark.parametrize("gated", ["/api/models/facebook/sam-vit-base/tree", "/facebook"])
def test_a_licence_that_has_to_be_accepted_is_said_so(
    tmp_path: Path, hub: Server, gated: str
) -> None:
    hub.gated = gated
    sentence = refusal("weights", "fetch", "sam-vit-base", home=tmp_path / "home")
    assert "accept it at https://huggingface.co/facebook/sam-vit-base" in sentence
    assert "'hf auth login'" in sentence


def test_verify_exits_with_2_when_something_was_altered(tmp_path: Path) -> None:
    home = tmp_path / "home"
    bench("weights", "add", "dino-vits16", mine(tmp_path), home=home)
    done = bench("weights", "verify", home=home)
    assert done.returncode == 0, done.stderr
    assert "dino-vits16: 1 file unaltered" in done.stdout
    assert "mini: no digest is known" in done.stdout
    path = home / "weights/dino-vits16.safetensors"
    path.unlink()
    path.write_bytes(save({"weight": np.zeros(6, np.float32)}))
    assert "altered: dino-vits16.safetensors" in refusal("weights", "verify", home=home)
    assert "altered" in refusal("weights", "verify", "dino-vits16", home=home)


def test_what_cannot_be_done_is_one_sentence(tmp_path: Path) -> None:
    home, file = tmp_path / "home", mine(tmp_path)
    assert "did you mean dino-vits16" in refusal("weights", "fetch", "dino-vits61", home=home)
    assert "kaggle.com" in refusal("weights", "fetch", "ir-guie-vith14", home=home)
    assert "of the kind pth" in refusal("weights", "add", "lpips-alex", file, home=home)
    sentence = refusal("weights", "fetch", "dino-vits8", home=home)
    assert "timm/vit_small_patch8_224.dino" in sentence and "try again" in sentence
    assert "'bench weights add dino-vits8 FILE'" in sentence


def test_neither_the_list_nor_adding_tensors_nor_verifying_imports_torch(tmp_path: Path) -> None:
    file = mine(tmp_path)
    for arguments in (["list"], ["add", "dino-vits16", str(file)], ["verify"]):
        code = (
            "import sys; from bench.commands.weights import app; "
            f"app({arguments!r}, standalone_mode=False); "
            "assert 'torch' not in sys.modules"
        )
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, env=environment(tmp_path / "home"), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert (
        hashlib.sha256(TENSORS).hexdigest()
        in (tmp_path / "home/weights/dino-vits16.sha256").read_text()
    )
