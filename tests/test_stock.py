"""Weights are added and fetched whole, in a format that runs no code, and as published."""

import hashlib
import io
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save, save_file

from bench.errors import UserError
from bench.sources import SOURCES, Web
from bench.stock import add, fetch
from bench.weights import find
from tests.server import Server, serving

TENSORS = {"weight": np.arange(6, dtype=np.float32)}
LORA = {"adapter_config.json": b"{}", "adapter_model.safetensors": save(TENSORS)}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it, and no proxy."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "home"


@pytest.fixture
def tensors(tmp_path: Path) -> Path:
    """A good safetensors file of the user's."""
    save_file(TENSORS, tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


@pytest.fixture
def trunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A checkpoint whose digest stands in the table as that of LPIPS's AlexNet."""
    content = checkpoint({"weight": torch.arange(6.0)})
    publish("lpips-alex", hashlib.sha256(content).hexdigest()[:8], monkeypatch)
    return content


def publish(name: str, sha256: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, name, SOURCES[name].model_copy(update={"sha256": sha256}))


def checkpoint(state: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, **options)
    return buffer.getvalue()


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def refusal(name: str, path: Path) -> str:
    with pytest.raises(UserError) as error:
        add(name, path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_is_added_under_its_name_and_recorded(home: Path, tensors: Path) -> None:
    added = add("dino-vits16", tensors)
    assert added == find("dino-vits16") == home / "weights/dino-vits16.safetensors"
    assert added.read_bytes() == tensors.read_bytes()
    digest = hashlib.sha256(tensors.read_bytes()).hexdigest()
    record = (home / "weights/dino-vits16.sha256").read_text()
    assert record == f"{digest}  dino-vits16.safetensors\n"
    assert everything_in(home) == {
        "weights/dino-vits16.safetensors",
        "weights/dino-vits16.sha256",
    }


def test_on_one_file_system_no_byte_is_copied(tensors: Path) -> None:
    assert add("dino-vits16", tensors).samefile(tensors)


def test_where_no_link_can_be_made_a_copy_is(
    tensors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", no_link)
    added = add("dino-vits16", tensors)
    assert not added.samefile(tensors) and added.read_bytes() == tensors.read_bytes()


def test_a_link_into_a_cache_is_followed(tensors: Path, tmp_path: Path) -> None:
    link = tmp_path / "snapshot/model.safetensors"
    link.parent.mkdir()
    link.symlink_to(tensors)
    added = add("dino-vits16", link)
    assert not added.is_symlink() and added.samefile(tensors)


def test_what_is_added_last_is_found_whatever_its_format(tensors: Path, tmp_path: Path) -> None:
    add("dino-vits16", tensors)
    old = written(tmp_path / "old.pth", checkpoint({"weight": torch.ones(2)}))
    assert add("dino-vits16", old) == find("dino-vits16")
    assert add("dino-vits16", tensors) == find("dino-vits16")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_of_tensors_is_taken_in_both_of_torchs_layouts(
    tmp_path: Path, zipped: bool
) -> None:
    content = checkpoint({"weight": torch.ones(2)}, _use_new_zipfile_serialization=zipped)
    assert add("dino-vits16", written(tmp_path / "old.pt", content)).suffix == ".pth"


class Hostile:
    """Pickled, it would run a command when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("how", ["zipped", "unzipped", "pickle"])
def test_a_checkpoint_that_would_run_code_is_refused_unrun(
    home: Path, tmp_path: Path, how: str
) -> None:
    hostile = Hostile(tmp_path / "trace")
    content = (
        pickle.dumps(hostile)
        if how == "pickle"
        else checkpoint(hostile, _use_new_zipfile_serialization=how == "zipped")
    )
    sentence = refusal("dino-vits16", written(tmp_path / "bad.pth", content))
    assert "tensors and plain values alone; nothing was added" in sentence
    assert not (tmp_path / "trace").exists()
    assert everything_in(home) == set()


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("cut.safetensors", save(TENSORS)[:-4], "no whole safetensors file"),
        ("text.safetensors", b"version https://git-lfs", "no whole safetensors file"),
        ("none.safetensors", save({}), "holds no tensors"),
        ("cut.pth", checkpoint({"weight": torch.ones(99)})[:-40], "no PyTorch file"),
        ("page.pth", b"<html>sign in</html>", "no PyTorch file"),
        ("empty.pth", b"", "no PyTorch file"),
        ("model.onnx", b"", "of the kind safetensors or pth is needed"),
    ],
)
def test_what_cannot_be_read_is_refused(
    home: Path, tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    sentence = refusal("dino-vits16", written(tmp_path / name, content))
    assert what in sentence and str(tmp_path / name) in sentence
    assert "nothing was added" in sentence
    assert everything_in(home) == set()


def test_a_refused_file_leaves_what_was_there(tensors: Path, tmp_path: Path) -> None:
    added = add("dino-vits16", tensors)
    refusal("dino-vits16", written(tmp_path / "cut.safetensors", save(TENSORS)[:-4]))
    assert added.read_bytes() == tensors.read_bytes()


def test_a_format_that_its_network_cannot_read_is_refused(tmp_path: Path, tensors: Path) -> None:
    old = written(tmp_path / "old.pth", checkpoint({}))
    assert "of the kind safetensors is needed" in refusal("pickscore-v1", old)
    assert "of the kind pth is needed" in refusal("lpips-alex", tensors)


def test_the_published_digest_is_demanded(home: Path, tmp_path: Path, trunk: bytes) -> None:
    other = written(tmp_path / "other.pth", checkpoint({"weight": torch.ones(6)}))
    sentence = refusal("lpips-alex", other)
    assert hashlib.sha256(other.read_bytes()).hexdigest()[:8] in sentence
    assert hashlib.sha256(trunk).hexdigest()[:8] in sentence
    assert everything_in(home) == set()
    assert add("lpips-alex", written(tmp_path / "mine.pth", trunk)).read_bytes() == trunk


def test_a_converted_copy_has_no_published_digest(tensors: Path) -> None:
    assert add("inception-2015", tensors) == find("inception-2015")


def detector(folder: Path) -> Path:
    written(folder / "config.json", b"{}")
    written(folder / "model.safetensors", save(TENSORS))
    return folder


def test_of_a_folder_only_what_the_network_reads_is_taken(home: Path, tmp_path: Path) -> None:
    folder = detector(tmp_path / "mine")
    for name in ("vocab.txt", "README.md", "pytorch_model.bin", ".cache/notes.json"):
        written(folder / name, b"text")
    assert add("sam-vit-base", folder) == find("sam-vit-base")
    kept = ("config.json", "model.safetensors", "vocab.txt")
    expected = {f"weights/sam-vit-base/{name}" for name in kept} | {"weights/sam-vit-base.sha256"}
    assert everything_in(home) == expected


def test_a_folder_replaces_the_one_before_it(home: Path, tmp_path: Path) -> None:
    first = detector(tmp_path / "first")
    written(first / "vocab.txt", b"old")
    add("sam-vit-base", first)
    add("sam-vit-base", detector(tmp_path / "second"))
    assert not (home / "weights/sam-vit-base/vocab.txt").exists()
    assert (first / "vocab.txt").read_bytes() == b"old"


def test_a_folder_that_lacks_something_is_refused(home: Path, tmp_path: Path) -> None:
    folder = detector(tmp_path / "mine")
    (folder / "config.json").unlink()
    assert "it lacks config.json; nothing was added" in refusal("sam-vit-base", folder)
    assert everything_in(home) == set()


def test_files_and_folders_are_told_apart(tmp_path: Path, tensors: Path) -> None:
    assert "one file is needed" in refusal("dino-vits16", tmp_path)
    assert "a folder is needed" in refusal("sam-vit-base", tensors)
    assert "There is nothing at" in refusal("dino-vits16", tmp_path / "nowhere")


def test_nothing_can_be_added_to_the_package(tensors: Path) -> None:
    assert "ship with the package" in refusal("mini", tensors)


def test_a_home_that_is_no_folder_is_said_so(home: Path, tensors: Path) -> None:
    home.write_text("a file")
    assert "cannot be kept in" in refusal("dino-vits16", tensors)


def archive(files: dict[str, bytes]) -> bytes:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return stored.getvalue()


def release(**more: bytes) -> bytes:
    """DreamSim's archive for CLIP, and ``more`` members."""
    tower = {"./clip_vitb32_pretrain.pth.tar": checkpoint({"weight": torch.ones(2)})}
    adapters = {f"clip_vitb32_single_lora/{name}": content for name, content in LORA.items()}
    return archive({**tower, **adapters, **more})


EXPECTED = {
    "clip_vitb32_pretrain.pth.tar",
    "clip_vitb32_single_lora/adapter_config.json",
    "clip_vitb32_single_lora/adapter_model.safetensors",
}


def test_a_published_archive_is_unpacked_without_its_hostile_members(tmp_path: Path) -> None:
    hostile = {
        "../../evil": b"!",
        "clip_vitb32_single_lora/../../../evil.json": b"!",
        "/evil.json": b"!",
        "evil.py": b"!",
    }
    path = written(tmp_path / "release.zip", release(**hostile))
    assert everything_in(add("dreamsim-clip-vitb32", path)) == EXPECTED
    assert not list(tmp_path.rglob("evil*"))


def test_an_archive_that_swells_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SOURCES["dreamsim-clip-vitb32"].model_copy(update={"size": 10_000})
    monkeypatch.setitem(SOURCES, small.name, small)
    swollen = release(**{"clip_vitb32_single_lora/more.json": b"\0" * 50_000})
    sentence = refusal(small.name, written(tmp_path / "release.zip", swollen))
    assert "far more than it should" in sentence
    assert everything_in(home) == set()


@pytest.fixture
def server(trunk: bytes) -> Iterator[Server]:
    """The official places of LPIPS's AlexNet and DreamSim, on this machine."""
    tower = checkpoint({"weight": torch.ones(3)})
    adapters = {f"dino_vitb16_single_lora/{name}": content for name, content in LORA.items()}
    with serving({"/alex.pth": trunk, "/dino.zip": archive(adapters), "/tower": tower}) as running:
        yield running


def alex(server: Server) -> Web:
    return Web(url=f"{server.address}/alex.pth")


def test_a_file_is_fetched_held_to_its_digest_and_recorded(
    home: Path, server: Server, trunk: bytes
) -> None:
    told: list[tuple[str, int, int]] = []
    path = fetch("lpips-alex", lambda *done: told.append(done), alex(server))
    assert path == find("lpips-alex") and path.read_bytes() == trunk
    assert ("downloading alex.pth", len(trunk), len(trunk)) in told
    assert everything_in(home) == {"weights/lpips-alex.pth", "weights/lpips-alex.sha256"}


def test_what_is_here_is_not_fetched_again(server: Server) -> None:
    fetch("lpips-alex", mirror=alex(server))
    server.asked.clear()
    fetch("lpips-alex", mirror=alex(server))
    assert server.asked == []


def test_a_fetching_that_broke_off_goes_on_where_it_stopped(server: Server, trunk: bytes) -> None:
    server.breaks_off_after = 700
    with pytest.raises(UserError, match=r"broke off after 700 of .*try again") as error:
        fetch("lpips-alex", mirror=alex(server))
    assert "'bench weights add lpips-alex FILE'" in str(error.value)
    with pytest.raises(UserError, match="not on this machine"):
        find("lpips-alex")
    assert fetch("lpips-alex", mirror=alex(server)).read_bytes() == trunk
    assert server.asked[-1] == ("/alex.pth", "bytes=700-")


def test_a_file_of_another_content_is_refused_and_not_gone_on_with(
    home: Path, server: Server, trunk: bytes
) -> None:
    server.files["/alex.pth"] = checkpoint({"weight": torch.zeros(6)})
    with pytest.raises(UserError, match=r"SHA-256 begins with .*; nothing was added"):
        fetch("lpips-alex", mirror=alex(server))
    assert everything_in(home) == set()


def test_an_archive_is_fetched_with_what_lies_beside_it(server: Server) -> None:
    beside = (("checkpoints/dino_vitbase16_pretrain.pth", f"{server.address}/tower"),)
    place = Web(url=f"{server.address}/dino.zip", beside=beside)
    path = fetch("dreamsim-dino-vitb16", mirror=place)
    assert path == find("dreamsim-dino-vitb16")
    assert everything_in(path) == {
        "checkpoints/dino_vitbase16_pretrain.pth",
        "dino_vitb16_single_lora/adapter_config.json",
        "dino_vitb16_single_lora/adapter_model.safetensors",
    }


def test_without_a_network_the_other_way_is_named() -> None:
    with pytest.raises(UserError) as error:
        fetch("lpips-alex", mirror=Web(url="http://127.0.0.1:9/alex.pth"))
    assert "Connection refused" in str(error.value)
    assert "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth" in str(error.value)
    assert "'bench weights add lpips-alex FILE'" in str(error.value)


def test_what_only_people_may_download_says_so() -> None:
    with pytest.raises(UserError, match=r"download the checkpoint from https://www.kaggle.com"):
        fetch("ir-guie-vith14")


def test_a_full_disk_is_no_fault_of_the_network(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line tells of a full disk in its own words."""

    class Full(io.BytesIO):
        def write(self, *_: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda *_: Full())
    with pytest.raises(OSError, match="No space left"):
        fetch("lpips-alex", mirror=alex(server))
