"""Files that were cut short, of a run that is finished or half finished: named or made again."""

import shutil
from pathlib import Path

import pytest

from tests.commands import here, refusal_here
from tests.faults.lives import Life

IMAGE = "images/mug-000/02-0.png"
CHECKPOINT = "checkpoints/mug-000/dreambooth.safetensors"
STATE = "checkpoints/mug-000/dreambooth/state.pt"


@pytest.fixture
def copied(undisturbed: Life, tmp_path: Path) -> Life:
    shutil.copytree(undisturbed.folder, tmp_path / "life")
    return Life(tmp_path / "life")


def cut(file: Path) -> None:
    """To half of its bytes, as on a disk that lost what was written last."""
    content = file.read_bytes()
    file.unlink()  # it may be linked to a file that is kept elsewhere
    file.write_bytes(content[: len(content) // 2])


def go_on(life: Life) -> None:
    done = here(*life.arguments, "--out", life.out, home=life.home)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def refused(life: Life) -> str:
    return refusal_here(*life.arguments, "--out", life.out, home=life.home)


def forget(life: Life, *patterns: str) -> None:
    """What a run would have to make again."""
    for pattern in patterns:
        for path in life.out.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def unfinished(life: Life) -> None:
    """As after a kill before the last subject was drawn; nothing is kept elsewhere."""
    forget(life, "row*", "images/mug-000")
    lines = (life.out / "images/images.jsonl").read_text().splitlines(keepends=True)
    ledger = "".join(line for line in lines if "mug-000" not in line)
    (life.out / "images/images.jsonl").write_text(ledger)
    shutil.rmtree(life.home / "cache/trainings")


@pytest.mark.parametrize("file", ["rows.parquet", "row.json"])
def test_a_result_that_was_cut_short_is_named(file: str, copied: Life, undisturbed: Life) -> None:
    cut(copied.out / file)
    assert file in refused(copied)
    (copied.out / file).unlink()
    go_on(copied)
    assert copied.contents() == undisturbed.contents()


def test_an_image_that_was_cut_short_is_named_set_aside_and_drawn_again(
    copied: Life, undisturbed: Life
) -> None:
    cut(copied.out / IMAGE)
    assert "mug-000/02-0.png" in refused(copied)
    go_on(copied)
    forget(copied, "images/damaged")
    assert copied.contents() == undisturbed.contents()


def test_a_manifest_that_was_cut_short_is_refused_by_name(copied: Life) -> None:
    cut(copied.out / "manifest.json")
    assert "manifest.json is damaged" in refused(copied)


@pytest.mark.parametrize("file", ["images/images.jsonl", "log.jsonl"])
def test_a_list_that_was_cut_short_costs_what_it_no_longer_tells(
    file: str, copied: Life, undisturbed: Life
) -> None:
    forget(copied, "row*")
    cut(copied.out / file)
    go_on(copied)
    assert copied.contents() == undisturbed.contents()


def test_a_shard_of_the_ledger_that_was_cut_short_costs_the_images_that_it_no_longer_tells(
    copied: Life, undisturbed: Life
) -> None:
    forget(copied, "row*")
    (shard := copied.out / "images/ledger/mug-000.jsonl").parent.mkdir()
    (copied.out / "images/images.jsonl").rename(shard)
    cut(shard)
    go_on(copied)
    assert copied.contents() == undisturbed.contents()


@pytest.mark.parametrize("mend", [CHECKPOINT, STATE])
def test_a_checkpoint_that_was_cut_short_is_named_or_trained_again(
    mend: str, copied: Life, undisturbed: Life
) -> None:
    unfinished(copied)
    cut(copied.out / mend)
    if mend == STATE:
        forget(copied, CHECKPOINT)
    sentence = refused(copied)
    assert Path(mend).name in sentence
    forget(copied, "checkpoints/mug-000")
    go_on(copied)
    assert copied.contents() == undisturbed.contents()


def test_a_kept_training_that_was_cut_short_is_not_used(copied: Life, undisturbed: Life) -> None:
    forget(copied, "checkpoints", "images", "row*")
    kept = list((copied.home / "cache/trainings").glob("*/files/*.safetensors"))
    assert len(kept) == 3
    for file in kept:
        cut(file)
    go_on(copied)
    assert copied.contents() == undisturbed.contents()


def test_a_feature_store_that_was_cut_short_is_named(copied: Life, undisturbed: Life) -> None:
    forget(copied, "row*")
    features = copied.home / "cache/features.sqlite"
    shutil.copy(features, features.with_suffix(".whole"))
    cut(features)
    assert "features.sqlite" in refused(copied)
    features.unlink()
    go_on(copied)
    assert copied.contents() == undisturbed.contents()


def test_what_kills_left_half_written_is_cleared_away(copied: Life, undisturbed: Life) -> None:
    forget(copied, "row*")
    for place in ("", "images", "images/car-001", "images/ledger", "checkpoints/car-001"):
        (copied.out / place).mkdir(exist_ok=True)
        (copied.out / place / ".half.0123abcd.part").write_bytes(b"half")
    shutil.copytree(copied.out / "checkpoints/mug-000", copied.out / "checkpoints/.0123.part")
    go_on(copied)
    assert copied.contents() == undisturbed.contents()
