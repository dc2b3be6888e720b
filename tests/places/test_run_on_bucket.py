"""A run on an object store: whoever goes on with it ends with the bytes of a run on a disk."""

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands import here, refusal_here, start
from tests.places.object_store import (
    BUCKET,
    SECRET,
    Environ,
    Store,
    client,
    no_fault,
    objects,
    serving,
)

FEW = ("--suite", "mini", "--limit-subjects", "3", "--set", "steps=2")
SFT = ("run", "--method", "sft-base", *FEW)
RUN = f"s3://{BUCKET}/sft"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with serving() as store:
        yield store


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Homes of machines: what one knows of earlier work is what its own cache holds."""
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="module")
def on_disk(root: Path) -> dict[str, bytes]:
    out = root / "run"
    run(out, root / "a disk's")
    files = (path for path in out.rglob("*") if path.is_file())
    return followed({path.relative_to(out).as_posix(): path.read_bytes() for path in files})


@pytest.fixture(scope="module")
def listed(store: Store, root: Path) -> set[str]:
    """Killed on one machine, and finished on another; images that the one had finished."""

    def after_the_first_group(environ: Environ) -> str | None:
        listed, image = store.count("PUT", "ledger/"), environ["PATH_INFO"].endswith(".png")
        return "hang" if listed and image else None

    store.fault, store.hangs = after_the_first_group, 5
    first = start(*SFT, "--out", RUN, home=root / "one")
    kill_when(first, lambda: store.count("PUT", ".png") > 16)
    store.fault = no_fault
    finished = listed_on_store()
    store.asked.clear()
    run(RUN, root / "other")
    return finished


def run(out: str | Path, home: Path) -> None:
    done = here(*SFT, "--out", out, home=home)
    assert done.returncode == 0, done.stderr


def followed(files: dict[str, bytes]) -> dict[str, bytes]:
    """What follows from the specification, not from when it was done."""
    kept = {name: data for name, data in files.items() if name.endswith((".png", ".parquet"))}
    row = json.loads(files["row.json"])
    del row["date"], row["environment"]["git_revision"]
    stated = {name: files[name] for name in ("manifest.json", "images/images.jsonl")}
    return {**kept, **stated, "row.json": json.dumps(row).encode()}


def on_store() -> dict[str, bytes]:
    return {key.removeprefix("sft/"): content for key, content in objects().items()}


def listed_on_store() -> set[str]:
    """Images that count as finished."""
    shards = (data for name, data in on_store().items() if name.startswith("images/ledger/"))
    return {json.loads(line)["file"] for shard in shards for line in shard.splitlines()}


def kill_when(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 300
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the run never came that far"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_killed_and_finished_elsewhere_it_has_the_bytes_of_a_run_on_a_disk(
    listed: set[str], store: Store, on_disk: dict[str, bytes]
) -> None:
    drawn = [path for method, path in store.asked if method == "PUT" and path.endswith(".png")]
    assert len(listed) == 16 and len(drawn) == 2
    assert followed(on_store()) == on_disk


def test_a_finished_run_holds_neither_shards_nor_a_lock(listed: set[str]) -> None:
    assert not [name for name in on_store() if name == ".lock" or "ledger/" in name]


def test_where_it_was_killed_it_is_shown_and_not_made_again(
    listed: set[str], store: Store, root: Path
) -> None:
    before = followed(on_store())
    store.asked.clear()
    run(RUN, root / "one")
    assert store.count("PUT", ".png") == 0 and followed(on_store()) == before


def test_images_that_are_damaged_or_gone_on_the_store_are_drawn_again(
    listed: set[str], on_disk: dict[str, bytes], root: Path
) -> None:
    damaged, gone, *_ = sorted(name for name in on_disk if name.endswith(".png"))
    client().put_object(Bucket=BUCKET, Key=f"sft/{damaged}", Body=b"no image")
    for name in (gone, "row.json"):
        client().delete_object(Bucket=BUCKET, Key=f"sft/{name}")
    sentence = refusal_here(*SFT, "--out", RUN, home=root / "other")
    assert all(name.removeprefix("images/") in sentence for name in (damaged, gone))
    run(RUN, root / "one")
    assert followed(on_store()) == on_disk


def test_what_is_trained_per_subject_goes_to_the_store_once(store: Store, root: Path) -> None:
    few = ("--suite", "mini", "--limit-subjects", "1", "--set", "steps=1")
    store.asked.clear()
    done = here("run", "--method", "siso", *few, "--out", f"{RUN}-2", home=root / "one")
    assert done.returncode == 0, done.stderr
    sent = Counter(path for method, path in store.asked if method == "PUT" and "/.lock" not in path)
    assert set(sent.values()) == {1}
    assert any("/checkpoints/mug-000/" in path for path in sent)


def test_what_is_wrong_with_an_address_is_said_before_anything_long_begins(
    store: Store, root: Path
) -> None:
    sentence = refusal_here(*SFT, "--out", "s3://nowhere/sft", home=root / "one")
    assert sentence.startswith("There is no bucket s3://nowhere") and SECRET not in sentence
