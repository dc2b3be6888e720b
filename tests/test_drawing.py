"""From a plan to images: what is trained when, and what a kill or a limit may not change."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL.Image import Image, new

from bench.api import Case, Material, Question, Scope, Workspace
from bench.drawing import Easel, has_all
from bench.identity import seed_of
from bench.pieces import drawing_spans
from bench.plan import Plan, Request, make_plan
from bench.store import ImageStore

BATCH = 4
PER_SUBJECT = 6


class Killed(BaseException):
    """Stands for a kill."""


class Painter:
    """Learns a colour per subject, keeps it in a file, and paints a shade of it per case."""

    name, revision = "painter", 1
    inputs: Mapping[str, str] = {}

    def __init__(self, scope: Scope = "subject", die_at: str = "") -> None:
        self.scope, self.die_at = scope, die_at
        self.did: list[str] = []
        self.groups: list[list[Case]] = []
        self.materials: list[Material] = []

    def train(self, workspace: Workspace) -> None:
        self.did.append("train")
        self.learnt = 0

    def train_subject(self, material: Material, workspace: Workspace) -> None:
        directory, file = material.subject.directory, workspace.folder / "colour.txt"
        self.materials.append(material)
        self.did.append(f"{'load' if file.exists() else 'train'} {directory}")
        workspace.log({"event": "trained"})
        workspace.progress("train painter", 1, 1)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(seed_of(directory)))
        self.learnt = int(file.read_text())

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        self.groups.append(cases := [question.case for question in questions])
        if self.die_at in {case.file for case in cases}:
            raise Killed
        return [self.paint(case.noise_seed, len(cases)) for case in cases]

    def paint(self, seed: int, beside: int) -> Image:
        """A batched network's images depend on how many are drawn beside them: so does this."""
        return new("RGB", (4, 4), (self.learnt % 251, seed % 251, beside))


class Run:
    """A folder that plans are carried out in, and what is told meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stages: list[str] = []
        self.log: list[Mapping[str, Any]] = []
        self.told: list[tuple[str, int, int]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        yield
        self.stages.append(name)

    def carry_out(self, plan: Plan, method: Painter) -> Painter:
        store = ImageStore(self.folder / "images")
        workspace = Workspace(
            self.folder / "checkpoints",
            self.folder / "cache",
            self.log.append,
            lambda *told: self.told.append(told),
        )
        easel = Easel(plan, method, BATCH, workspace, self.stage)
        for span in drawing_spans(plan.cases, method.scope, BATCH):
            cases = plan.cases[span.start : span.stop]
            if not has_all(store, cases):
                easel.draw(span, store)
        return method

    def pixels(self, subject: str = "*") -> dict[str, bytes]:
        files = (self.folder / "images").glob(f"{subject}/*.png")
        return {f"{file.parent.name}/{file.name}": file.read_bytes() for file in files}


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], Run]:
    return lambda name: Run(tmp_path / name)


def plan_for(subjects: int) -> Plan:
    return make_plan(Request(method="text-only", suite="mini", limit_subjects=subjects))


def test_each_subject_is_trained_and_then_drawn_in_the_plans_order(
    run: Callable[[str], Run],
) -> None:
    made = run("whole")
    method = made.carry_out(plan := plan_for(3), Painter())
    assert method.did == ["train", *(f"train {subject}" for subject in plan.subjects)]
    assert made.stages == ["train", *["train", "generate"] * 3]
    assert len(made.pixels()) == 3 * PER_SUBJECT


def test_groups_never_span_two_subjects(run: Callable[[str], Run]) -> None:
    method = run("whole").carry_out(plan_for(3), Painter())
    assert [len(group) for group in method.groups] == [4, 2] * 3
    assert all(len({case.subject for case in group}) == 1 for group in method.groups)


def test_one_training_for_all_draws_in_groups_over_all_cases(run: Callable[[str], Run]) -> None:
    for scope in ("none", "corpus"):
        method = run(scope).carry_out(plan_for(3), Painter(scope))
        assert method.did == ["train"]
        assert [len(group) for group in method.groups] == [4, 4, 4, 4, 2]


def test_a_run_of_one_subject_gives_the_bytes_that_the_full_run_gives(
    run: Callable[[str], Run],
) -> None:
    whole, alone = run("whole"), run("alone")
    whole.carry_out(plan := plan_for(3), Painter())
    last = plan.subjects[-1]
    only = plan.model_copy(update={"cases": tuple(c for c in plan.cases if c.subject == last)})
    alone.carry_out(only, Painter())
    assert alone.pixels() == whole.pixels(last)


def test_the_order_of_subjects_changes_no_pixel(run: Callable[[str], Run]) -> None:
    plan = plan_for(3)
    backwards = sorted(plan.cases, key=lambda case: -plan.subjects.index(case.subject))
    forth, back = run("forth"), run("back")
    forth.carry_out(plan, Painter())
    back.carry_out(plan.model_copy(update={"cases": tuple(backwards)}), Painter())
    assert back.pixels() == forth.pixels()


def test_a_killed_run_trains_no_finished_subject_again_and_ends_with_the_same_bytes(
    run: Callable[[str], Run],
) -> None:
    plan, undisturbed, killed = plan_for(3), run("undisturbed"), run("killed")
    undisturbed.carry_out(plan, Painter())
    second = plan.subjects[1]
    with pytest.raises(Killed):
        killed.carry_out(plan, Painter(die_at=f"{second}/05-0.png"))
    assert len(killed.pixels(second)) == BATCH
    resumed = killed.carry_out(plan, Painter())
    assert resumed.did == ["train", f"load {second}", f"train {plan.subjects[2]}"]
    assert killed.pixels() == undisturbed.pixels()


def test_a_complete_run_is_not_touched(run: Callable[[str], Run]) -> None:
    made = run("whole")
    made.carry_out(plan_for(2), Painter())
    again = made.carry_out(plan_for(2), Painter())
    assert not again.did and not again.groups


def test_a_subject_comes_with_its_photographs_its_name_and_a_folder_of_its_own(
    run: Callable[[str], Run],
) -> None:
    made = run("whole")
    method = made.carry_out(plan := plan_for(2), Painter())
    for subject, material in zip(plan.suite.subjects[:2], method.materials, strict=True):
        assert material.subject == subject
        assert tuple(material.photographs) == subject.references
        assert {image.mode for image in material.photographs.values()} == {"RGB"}
        assert (material.name, material.given) == (subject.class_noun, "00.png")
        assert (made.folder / "checkpoints" / subject.directory / "colour.txt").exists()


def test_what_is_logged_and_shown_names_the_subject(run: Callable[[str], Run]) -> None:
    made = run("whole")
    made.carry_out(plan := plan_for(2), Painter())
    assert [event["subject"] for event in made.log] == list(plan.subjects)
    first, second = plan.subjects
    titles = [title for title, _, _ in made.told]
    assert f"train painter {first} 1/2" in titles and f"train painter {second} 2/2" in titles
    drawn = [(done, total) for title, done, total in made.told if title == "generate"]
    assert drawn == [(4, 6), (6, 6), (4, 6), (6, 6)]
