"""Wherever a file of weights can be named, a pickle that runs a command is refused, and not run."""

import io
import json
import pickle
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForMaskGeneration

from bench.errors import UserError
from bench.features import FeatureStore
from bench.formats import Unfit, check_all
from bench.methods.captions import LocalCaptioner
from bench.methods.loop import resume
from bench.methods.reward_network import from_blip
from bench.metrics.align import align_base
from bench.metrics.comparers import LpipsComparer
from bench.metrics.dreamsim_network import build
from bench.metrics.encoders import dino_vits8
from bench.metrics.inception_encoders import inception_2015_clean
from bench.metrics.regions_network import loaded
from bench.sources import SOURCES
from tests.commands import refusal_here
from tests.security.hostile import Command, malicious

Reader = Callable[[Path], object]


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a pickle that is run leaves behind."""
    return tmp_path / "was-run"


def test_the_pickle_does_what_it_says_where_it_is_run(mark: Path, tmp_path: Path) -> None:
    pickle.loads(malicious(tmp_path / "evil.pth", mark).read_bytes())
    assert mark.exists()


@pytest.mark.parametrize("name", [s.name for s in SOURCES.values() if "pth" in s.formats])
def test_none_is_added_to_the_weights(name: str, mark: Path, tmp_path: Path) -> None:
    known = SOURCES[name]
    given = tmp_path / "evil.pth"
    if known.is_folder:
        given = tmp_path / "evil"
        for pattern in known.files:
            malicious(given / pattern.replace("*", "x.bin"), mark)
    else:
        malicious(given, mark)
    refusal_here("weights", "add", name, given, home=tmp_path / "home")
    assert not mark.exists()
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


FILES: dict[str, Reader] = {
    "encoder": lambda path: dino_vits8(path=path).runner,
    "Inception": lambda path: inception_2015_clean(path=path).runner,
    "LPIPS": lambda path: LpipsComparer("alex", path=path).network,
    "state.pt of a run": partial(resume, restore=lambda state: None),
}


@pytest.mark.parametrize("read", FILES.values(), ids=FILES)
def test_none_is_run_as_a_file(read: Reader, mark: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        read(malicious(tmp_path / "state.pth", mark))
    assert not mark.exists()


def in_zip(path: Path, mark: Path) -> Path:
    """As newer versions of PyTorch write their files."""
    inner = malicious(path.with_name("data.pkl"), mark)
    with zipfile.ZipFile(path, "w") as stored:
        stored.write(inner, "archive/data.pkl")
        stored.writestr("archive/version", "3")
    inner.unlink()
    return path


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.bin", "a.pth.tar"])
@pytest.mark.parametrize("make", [malicious, in_zip])
def test_no_form_or_name_lets_one_in(
    make: Callable[[Path, Path], Path], name: str, mark: Path, tmp_path: Path
) -> None:
    make(tmp_path / name, mark)
    with pytest.raises(Unfit, match="tensors and plain values alone"):
        check_all(tmp_path)
    assert not mark.exists()


def blip(folder: Path) -> object:
    """BLIP beside a tokenizer that is whole."""
    (folder / "vocab.txt").write_text("[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\na\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return from_blip(folder, 0)


FOLDERS: dict[str, tuple[str, dict[str, object], Reader]] = {
    "ALIGN": ("pytorch_model.bin", {"model_type": "align"}, lambda p: align_base(path=p).runner),
    "BLIP": ("pytorch_model.bin", {"model_type": "blip"}, blip),
    "captioner": ("pytorch_model.bin", {"model_type": "blip-2"}, LocalCaptioner),
    "DreamSim": ("clip_vitb32_pretrain.pth.tar", {}, partial(build, [], "")),
}


@pytest.mark.parametrize("what", FOLDERS)
def test_none_is_run_out_of_a_folder(what: str, mark: Path, tmp_path: Path) -> None:
    file, config, read = FOLDERS[what]
    (tmp_path / "config.json").write_text(json.dumps(config))
    malicious(tmp_path / file, mark)
    with pytest.raises((UserError, RuntimeError)):
        read(tmp_path)
    assert not mark.exists()


def test_code_beside_weights_is_neither_run_nor_asked_about(mark: Path, tmp_path: Path) -> None:
    """transformers would ask, and a user who says yes has run it."""
    (tmp_path / "theirs.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    told = {"auto_map": {"AutoProcessor": "theirs.P", "AutoConfig": "theirs.C"}, "model_type": "x"}
    for name in ("config.json", "processor_config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text(json.dumps(told))
    with pytest.raises(UserError):
        LocalCaptioner(tmp_path)
    with pytest.raises(UserError):
        loaded(AutoModelForMaskGeneration, "sam-vit-base", tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("option", ["lora", "weights"])
def test_a_fine_tune_is_safetensors_or_nothing(option: str, mark: Path, tmp_path: Path) -> None:
    evil = malicious(tmp_path / "evil.safetensors", mark)
    words = ("run", "--method", "checkpoint", "--suite", "mini", "--set", f"{option}={evil}")
    refusal_here(*words, "--out", tmp_path / "run", home=tmp_path / "home")
    assert not mark.exists()


def test_a_cache_of_features_holds_no_pickle(mark: Path, tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features.sqlite")
    store.put("recipe", {"key": np.zeros(2, np.float32)})
    buffer = io.BytesIO()
    np.save(buffer, np.array([Command(mark)], dtype=object), allow_pickle=True)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE features SET vector = ?", (buffer.getvalue(),))
    with pytest.raises(UserError, match="delete it"):
        store.get("recipe", ["key"])
    assert not mark.exists()
