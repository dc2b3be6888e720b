"""Files survive a kill and a full disk; damage is found, named, set aside and mended."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from bench.errors import UserError
from bench.identity import file_digest
from bench.store import LEDGER, WAITING, ImageStore, in_turn, write_atomically

FILES = ("cat/00-0.png", "cat/00-1.png", "dog/00-0.png")


def picture(level: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (level, 0, 0))


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """Three finished images."""
    store = ImageStore(tmp_path / "images")
    store.put_all({file: picture(level) for level, file in enumerate(FILES)})
    return store


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- whole or not at all --------------------------------------------------------------------------


def test_a_file_is_written_with_its_folders_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_atomically(path, "old")
    write_atomically(path, b"new")
    assert snapshot(tmp_path) == {"a/b.json": b"new"}


def test_a_full_disk_leaves_the_old_file_and_no_scraps(tiny_disk: Path) -> None:
    path = tiny_disk / "state.pt"
    write_atomically(path, b"old" * 1000)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new" * 100_000)
    assert snapshot(tiny_disk) == {"state.pt": b"old" * 1000}
    write_atomically(path, b"newer")
    assert path.read_bytes() == b"newer"


def test_a_full_disk_loses_no_finished_image(tiny_disk: Path) -> None:
    store = ImageStore(tiny_disk / "images")
    large = Image.effect_noise((256, 256), 90).convert("RGB")
    store.put_all({"cat/0.png": picture(1)})
    with pytest.raises(OSError, match="No space left"):
        store.put_all({"cat/1.png": large})
    again = ImageStore(tiny_disk / "images")
    again.verify()
    assert list(again.digests) == ["cat/0.png"]


# --- the ledger -----------------------------------------------------------------------------------


def test_who_waits_for_its_turn_says_so_all_the_time(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def wait_and_work() -> None:
        with in_turn(tmp_path, lambda *so_far: told.append(so_far)):
            told.append(("work", 1, 1))

    with ThreadPoolExecutor(1) as threads:
        with in_turn(tmp_path):
            working = threads.submit(wait_and_work)
            time.sleep(2.5)
        working.result(timeout=60)
    assert told[-2:] == [(WAITING, 2, 2), ("work", 1, 1)]
    assert {second for title, second, total in told if not total} == {0, 1, 2}


def test_stored_images_come_back_and_stand_in_the_ledger(store: ImageStore) -> None:
    again = ImageStore(store.folder)
    again.verify()
    assert again.has_all(FILES) and not again.has_all([*FILES, "dog/00-1.png"])
    for level, file in enumerate(FILES):
        assert again.open(file).getpixel((0, 0)) == (level, 0, 0)
        assert again.digests[file] == file_digest(again.path(file))


def test_a_finished_image_is_never_written_again(store: ImageStore) -> None:
    before = snapshot(store.folder)
    store.put_all({FILES[0]: picture(99)})
    assert snapshot(store.folder) == before


@pytest.mark.parametrize("kept", [1, 20, -2])
def test_a_torn_last_line_costs_its_image_alone(store: ImageStore, kept: int) -> None:
    """What a kill leaves while the ledger is being appended to."""
    undisturbed = snapshot(store.folder)
    ledger = store.folder / LEDGER
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:2]) + lines[2][:kept])
    resumed = ImageStore(store.folder)
    resumed.verify()
    assert list(resumed.digests) == list(FILES[:2])
    resumed.put_all({file: picture(level) for level, file in enumerate(FILES)})
    assert snapshot(store.folder) == undisturbed


def test_an_image_without_its_line_is_drawn_again(store: ImageStore) -> None:
    """What a kill leaves between the image and its line."""
    undisturbed = snapshot(store.folder)
    ledger = store.folder / LEDGER
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:2]))
    resumed = ImageStore(store.folder)
    resumed.put_all({FILES[2]: picture(2)})
    assert snapshot(store.folder) == undisturbed


def test_half_written_images_are_overwritten(store: ImageStore) -> None:
    """What a kill leaves while an image is being written."""
    undisturbed = snapshot(store.folder)
    (store.folder / LEDGER).unlink()
    store.path(FILES[1]).unlink()
    store.path(FILES[1]).with_name(".00-1.png.part").write_bytes(b"\x89PNG")
    resumed = ImageStore(store.folder)
    resumed.put_all({file: picture(level) for level, file in enumerate(FILES)})
    resumed.verify()
    assert snapshot(store.folder) == undisturbed


# --- damage ---------------------------------------------------------------------------------------


def test_damage_is_named_set_aside_and_mended_by_going_on(store: ImageStore) -> None:
    undisturbed = snapshot(store.folder)
    truncated = store.path(FILES[0]).read_bytes()[:30]
    store.path(FILES[0]).write_bytes(truncated)
    store.path(FILES[2]).unlink()

    resumed = ImageStore(store.folder)
    with pytest.raises(UserError) as error:
        resumed.verify()
    assert "2 of the images" in str(error.value)
    assert FILES[0] in str(error.value) and FILES[2] in str(error.value)
    assert "run the same command again" in str(error.value)
    assert (store.folder / "damaged" / FILES[0]).read_bytes() == truncated
    assert store.path(FILES[1]).read_bytes() == undisturbed[FILES[1]]

    mended = ImageStore(store.folder)
    mended.verify()
    assert list(mended.digests) == [FILES[1]]
    mended.put_all({file: picture(level) for level, file in enumerate(FILES)})
    mended.verify()
    after = snapshot(store.folder)
    assert {file: after[file] for file in FILES} == {file: undisturbed[file] for file in FILES}


def test_verifying_an_intact_store_changes_nothing(store: ImageStore) -> None:
    before = snapshot(store.folder)
    ImageStore(store.folder).verify()
    assert snapshot(store.folder) == before


def test_a_store_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "none")
    store.verify()
    assert not store.digests and not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"file": "", "sha256": "0"}',
        b'{"file": "../../elsewhere.png", "sha256": "0"}',
        b'{"file": "/etc/passwd", "sha256": "0"}',
        b'{"file": 1, "sha256": "0"}',
        b'{"file": "a.png", "sha256": null}',
        b'{"file": "' + b"a" * 5000 + b'", "sha256": "0"}',
        b"[" * 100_000,
    ],
)
def test_a_line_of_nonsense_lists_nothing_and_costs_nothing_else(
    store: ImageStore, line: bytes
) -> None:
    ledger = store.folder / LEDGER
    ledger.write_bytes(line + b"\n" + ledger.read_bytes())
    resumed = ImageStore(store.folder)
    resumed.verify()
    assert resumed.digests == store.digests


def test_each_piece_of_work_has_its_own_part_of_the_ledger(tmp_path: Path) -> None:
    for shard, level in (("b", 1), ("a", 0)):
        ImageStore(tmp_path, shard).put_all({FILES[level]: picture(level)})
    whole = ImageStore(tmp_path)
    whole.verify()
    assert whole.has_all(FILES[:2])
    whole.gather(FILES[:2])
    assert list(ImageStore(tmp_path).digests) == list(FILES[:2])
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [LEDGER]
    assert not (tmp_path / "ledger").exists()


def test_an_image_that_changed_after_it_was_listed_is_found_also_at_its_old_size(
    store: ImageStore,
) -> None:
    path = store.path(FILES[1])
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(UserError, match=FILES[1]):
        ImageStore(store.folder).verify()
