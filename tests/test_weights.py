"""Weights are found where the user, the hub's cache or torch's cache keeps them, or not at all."""

from pathlib import Path

import pytest

from bench import registry
from bench.errors import UserError
from bench.mini.weights import weights_file
from bench.sources import SOURCES, Hub, Shipped, Source, Web
from bench.weights import find, here

FOLDERS = [known.name for known in SOURCES.values() if known.is_folder]
FROM_HUB = [known.name for known in SOURCES.values() if isinstance(known.place, Hub)]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it: ``home``, ``hub`` and ``torch`` are its empty folders."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def written(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def complete(folder: Path, name: str) -> Path:
    """Everything that a folder of these weights must hold."""
    for pattern in SOURCES[name].files:
        written(folder / pattern.replace("*", "some.json"))
    return folder


def in_hub_cache(root: Path, repository: str) -> Path:
    """The snapshot of a repository, as the hub's client keeps it."""
    folder = root / "hub" / f"models--{repository.replace('/', '--')}"
    written(folder / "refs/main").write_text("abc")
    return folder / "snapshots/abc"


def refusal(name: str) -> str:
    with pytest.raises(UserError) as error:
        find(name)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_users_own_file_is_found_in_either_format(place: Path) -> None:
    checkpoint = written(place / "home/weights/dino-vits16.pth")
    assert find("dino-vits16") == checkpoint
    tensors = written(place / "home/weights/dino-vits16.safetensors")
    assert find("dino-vits16") == tensors


def test_a_format_that_no_network_here_reads_is_not_found(place: Path) -> None:
    written(place / "home/weights/pickscore-v1.pth")
    assert "not on this machine" in refusal("pickscore-v1")


@pytest.mark.parametrize("name", FOLDERS)
def test_the_users_own_folder_is_found_when_it_is_whole(place: Path, name: str) -> None:
    folder = complete(place / "home/weights" / name, name)
    assert find(name) == folder
    last = SOURCES[name].files[-1]
    (folder / last.replace("*", "some.json")).unlink()
    assert f"lack {last}" in refusal(name)


@pytest.mark.parametrize("name", FROM_HUB)
def test_the_hubs_cache_is_read_and_the_users_own_comes_first(place: Path, name: str) -> None:
    known = SOURCES[name]
    assert isinstance(known.place, Hub)
    snapshot = in_hub_cache(place, known.place.repository)
    file = snapshot / known.place.files[0]
    expected = complete(snapshot, name) if known.is_folder else written(file)
    own = place / "home/weights" / (name if known.is_folder else f"{name}.safetensors")
    assert find(name) == expected
    complete(own, name) if known.is_folder else written(own)
    assert find(name) == own


def test_a_snapshot_that_is_not_whole_is_not_found(place: Path) -> None:
    snapshot = in_hub_cache(place, "facebook/sam-vit-base")
    written(snapshot / "config.json")
    assert "not on this machine" in refusal("sam-vit-base")


def test_torchs_cache_is_read_without_torch(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = written(place / "torch/hub/checkpoints/alexnet-owt-7be5be79.pth")
    assert here(SOURCES["lpips-alex"]) == cached
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    assert "not on this machine" in refusal("lpips-alex")
    elsewhere = written(place / "cache/torch/hub/checkpoints/alexnet-owt-7be5be79.pth")
    assert here(SOURCES["lpips-alex"]) == elsewhere


def test_a_file_that_is_not_the_published_one_is_never_used(place: Path) -> None:
    altered = written(place / "torch/hub/checkpoints/alexnet-owt-7be5be79.pth")
    sentence = refusal("lpips-alex")
    assert str(altered) in sentence and "not the published ones" in sentence
    assert "bench weights fetch lpips-alex" in sentence


def test_the_mini_worlds_weights_ship_with_the_package() -> None:
    assert find("mini") == weights_file("mini-base")
    assert find("mini-dino") == weights_file("mini-dino")


@pytest.mark.parametrize("name", [n for n, s in SOURCES.items() if isinstance(s.place, Hub | Web)])
def test_what_is_missing_names_the_commands_the_size_and_the_licence(name: str) -> None:
    sentence = refusal(name)
    assert f"'bench weights fetch {name}'" in sentence
    assert f"'bench weights add {name} PATH'" in sentence
    assert SOURCES[name].volume in sentence and SOURCES[name].licence in sentence


def test_what_only_people_may_download_names_the_page_and_the_command() -> None:
    sentence = refusal("ir-guie-vith14")
    assert "https://www.kaggle.com/datasets/louieshao/guieweights0732" in sentence
    assert "'bench weights add ir-guie-vith14 FILE'" in sentence
    assert "2.5 GB" in sentence and "fetch" not in sentence


def test_an_unknown_name_is_told_the_nearest() -> None:
    assert "did you mean dino-vits16" in refusal("dino-vit16")


def test_every_registered_encoder_is_in_the_table() -> None:
    """An encoder that lacks its weights names a command that knows them; nothing is downloaded."""
    lost = set()
    for name, target in registry.names("encoder").items():
        if not target.startswith("bench."):
            continue
        try:
            registry.load("encoder", name)()
        except UserError as error:
            assert "bench weights" in str(error), name
            lost.add(name)
    assert {"dino-vits16", "clip-vitb32-openai"} <= lost


def test_every_registered_backbone_is_in_the_table() -> None:
    known = {source.name for source in SOURCES.values() if source.kind == "backbone"}
    assert set(registry.BUILT_IN["backbone"]) <= known


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_what_the_table_says_holds_together(source: Source) -> None:
    assert source.size > 0 and source.licence and source.what
    assert source.sha256 is None or set(source.sha256) <= set("0123456789abcdef")
    if isinstance(source.place, Web) and not source.is_folder:
        assert source.place.url.endswith(".pth") and "pth" in source.formats
        # The beginning of the digest is part of the official file's name.
        assert source.sha256 is not None and source.sha256[:8] in source.place.url
    if isinstance(source.place, Web) and source.is_folder:
        assert {path for path, _ in source.place.beside} <= set(source.files)
    if isinstance(source.place, Hub) and source.is_folder:
        assert "*" not in source.files[0]
    if isinstance(source.place, Shipped):
        assert weights_file(source.place.file).stat().st_size == pytest.approx(source.size, rel=0.1)


@pytest.mark.parametrize(
    ("name", "volume"),
    [
        ("dino-vits16", "87 MB"),
        ("clip-vitb32-openai", "605 MB"),
        ("pickscore-v1", "3.94 GB"),
        ("flux-dev", "about 34 GB"),
    ],
)
def test_sizes_are_said_in_words(name: str, volume: str) -> None:
    assert SOURCES[name].volume == volume
