"""What is done of a plan is what its run's folder and the caches hold, read and not touched."""

import json
import shutil
from pathlib import Path

import pytest

from bench.cost.done import Done, find_folder, progress_of
from tests.cost.dry_runs import contents, finished, plan_of, run_of, world

__all__ = ["finished", "world"]


def test_a_finished_run_is_found_by_its_plan_and_all_of_it_is_done(world: Path) -> None:
    plan, before = plan_of("dreambooth"), contents(world)
    done = progress_of(plan)
    assert done.folder == run_of(world, "dreambooth")
    assert done.images == {case.file for case in plan.cases}
    assert done.trained == set(plan.subjects)
    assert done.seen == len({*done.images})
    assert done.scored
    assert contents(world) == before


def test_images_that_no_encoder_has_looked_at_are_looked_at_again(world: Path) -> None:
    (world / "home" / "cache" / "features.sqlite").write_bytes(b"damaged")
    assert progress_of(plan_of("dreambooth")).seen == 0
    (world / "home" / "cache" / "features.sqlite").unlink()
    assert progress_of(plan_of("dreambooth")).seen == 0


def test_of_a_corpus_it_is_the_methods_own_training_that_is_done(world: Path) -> None:
    done = progress_of(plan_of("sfo"))
    assert done.trained == {"sfo"} and done.scored and done.pairs


@pytest.mark.parametrize("changes", [{"rank": "3"}, {"iterations": "2"}, {"seed": "5"}])
def test_another_option_is_another_run(world: Path, changes: dict[str, str]) -> None:
    plan = plan_of("dreambooth", **changes)
    assert progress_of(plan) == Done()
    assert progress_of(plan, run_of(world, "dreambooth")) == Done(foreign=True)


def test_another_way_of_drawing_has_its_trainings_kept(world: Path) -> None:
    plan = plan_of("dreambooth", guidance="cfg:3")
    assert progress_of(plan) == Done(kept=frozenset(plan.subjects))
    shutil.rmtree(world / "home" / "cache" / "trainings")
    assert progress_of(plan) == Done()


def test_pairs_are_kept_for_trainings_that_would_draw_the_same(world: Path) -> None:
    assert progress_of(plan_of("sfo", beta="3")).pairs
    assert not progress_of(plan_of("sfo", negatives="5")).pairs
    assert not progress_of(plan_of("sfo", seed="1")).pairs
    assert not progress_of(plan_of("sfo", steps="3")).pairs
    assert not progress_of(plan_of("self-play", **{"iterations": "1", "negatives": "4"})).pairs


def test_an_image_counts_that_is_listed_and_there(world: Path) -> None:
    plan, images = plan_of("dreambooth"), run_of(world, "dreambooth") / "images"
    first, second, *rest = [case.file for case in plan.cases]
    (images / first).unlink()
    ledger = images / "images.jsonl"
    lines = ledger.read_text().splitlines()
    ledger.write_text("\n".join(line for line in lines if second not in line) + '\n{"file": "tor')
    done = progress_of(plan)
    assert done.images == set(rest)
    assert not done.scored


def test_what_workers_have_listed_apart_counts_too(world: Path) -> None:
    plan, images = plan_of("dreambooth"), run_of(world, "dreambooth") / "images"
    lines = (images / "images.jsonl").read_text().splitlines(keepends=True)
    (images / "images.jsonl").write_text("".join(lines[:3]))
    (images / "ledger").mkdir()
    (images / "ledger" / "one.jsonl").write_text("".join(lines[3:6]))
    (images / "ledger" / "two.jsonl").write_text("".join(lines[5:7]))
    assert progress_of(plan).images == {json.loads(line)["file"] for line in lines[:7]}


def test_a_training_counts_once_its_adapter_is_written(world: Path) -> None:
    folder = run_of(world, "dreambooth")
    (folder / "checkpoints" / "mug-000" / "dreambooth.safetensors").unlink()
    done = progress_of(plan_of("dreambooth"))
    assert done.trained == {"car-001"}
    assert done.kept == {"mug-000"}


def test_a_folder_that_is_no_run_or_is_damaged_has_nothing(world: Path) -> None:
    plan, folder = plan_of("dreambooth"), run_of(world, "dreambooth")
    (folder / "manifest.json").write_text("{")
    assert find_folder(plan) is None
    assert progress_of(plan, folder).images == frozenset()
    assert progress_of(plan, world / "nowhere").folder is None


def test_of_several_runs_of_a_plan_the_newest_is_gone_on_with(world: Path) -> None:
    own = run_of(world, "dreambooth")
    copy = own.with_name("dreambooth-mini-000000000000")
    shutil.copytree(own, copy)
    (copy / "manifest.json").touch()
    assert find_folder(plan_of("dreambooth")) == copy
