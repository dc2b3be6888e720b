"""Anchors stand where a board is read from: a copy, another photograph, another subject, noise."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench import registry
from bench.api import Case, Frozen, Question, Workspace
from bench.errors import UserError
from bench.gallery import Gallery
from bench.methods.anchors import (
    CopyReference,
    Noise,
    NoiseOptions,
    NoOptions,
    Oracle,
    WrongSubject,
)
from bench.metrics.mini_encoders import mini_dino
from bench.metrics.similarity import cosines, embed
from bench.paths import home
from bench.plan import Plan, Request, make_cases, make_plan
from bench.protocols import load_protocol
from bench.results import read_measured
from bench.run import execute
from bench.store import LEDGER, ImageStore
from bench.suites import load_suite

MODULE = "bench.methods.anchors"
ANCHORS = {
    "oracle": f"{MODULE}:Oracle",
    "copy-reference": f"{MODULE}:CopyReference",
    "wrong-subject": f"{MODULE}:WrongSubject",
    "noise": f"{MODULE}:Noise",
}
MINI = load_suite("mini@1")
CASES = make_cases(MINI, load_protocol(MINI), MINI.subjects[:4], 2)
PHOTOGRAPHS = Path(__file__).parents[2] / "../shared/data/dreambench/dataset"


@pytest.fixture(scope="module", autouse=True)
def no_backbone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The anchors by their names, in a new home, where no backbone can be loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBJECTBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setitem(registry.BUILT_IN, "method", registry.BUILT_IN["method"] | ANCHORS)
        patch.setitem(registry.BUILT_IN, "backbone", {"mini": "nowhere:a", "flux-dev": "nowhere:b"})
        yield


def plan(anchor: str, **asked: Any) -> Plan:
    return make_plan(Request(**{"method": anchor, "suite": "mini", "limit_subjects": 8, **asked}))


@pytest.fixture(scope="module")
def runs(no_backbone: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every anchor on eight subjects of the mini suite, by its name."""
    out = tmp_path_factory.mktemp("runs")
    return {anchor: execute(plan(anchor), out / anchor)[0] for anchor in ANCHORS}


def means(runs: dict[str, Path], metric: str) -> dict[str, float]:
    return {name: read_measured(run).result.metrics[metric].mean for name, run in runs.items()}


def contents(run: Path) -> dict[str, bytes]:
    files = [*run.glob("images/*/*.png"), run / "rows.parquet"]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def pixels(image: Image.Image) -> NDArray[Any]:
    return np.asarray(image)


def question(case: Case) -> Question:
    return Question(case, Gallery(MINI)(case.subject)[case.reference].open())


@pytest.fixture
def events(tmp_path: Path) -> list[Any]:
    return []


@pytest.fixture
def workspace(tmp_path: Path, events: list[Any]) -> Workspace:
    return Workspace(tmp_path / "run", tmp_path / "cache", events.append)


def shown_by(method: Any, cases: tuple[Case, ...], workspace: Workspace) -> list[bytes]:
    """The pixels that a method answers with."""
    method.train(workspace)
    return [image.tobytes() for image in method.generate([question(case) for case in cases])]


def photographs(subject: str) -> dict[str, bytes]:
    return {file: picture.open().tobytes() for file, picture in Gallery(MINI)(subject).items()}


class TestOrder:
    def test_a_copy_is_no_further_than_another_photograph_and_that_nearer_than_others(
        self, runs: dict[str, Path]
    ) -> None:
        dino = means(runs, "dino")
        assert dino["copy-reference"] >= dino["oracle"]
        assert dino["oracle"] > max(dino["wrong-subject"], dino["noise"]) + 0.5

    def test_a_subject_of_the_class_is_nearer_than_noise_to_who_looks_at_the_kind(
        self, runs: dict[str, Path]
    ) -> None:
        """CLIP-I: the mini DINO tells subjects apart and finds nothing alike in a mere kind."""
        clip = means(runs, "clip_i")
        names = ("copy-reference", "oracle", "wrong-subject", "noise")
        assert sorted(clip, key=clip.__getitem__, reverse=True) == list(names)


class TestOracle:
    def test_shows_every_photograph_but_the_one_given(self, workspace: Workspace) -> None:
        for subject in MINI.subjects[:4]:
            cases = tuple(case for case in CASES if case.subject == subject.directory)
            known = photographs(subject.directory)
            seen = set(shown_by(Oracle(None, NoOptions()), cases, workspace))
            assert seen <= {known[file] for file in ("01.png", "02.png", "03.png")}
            assert len(seen) > 1

    def test_says_which_one_it_shows(self, workspace: Workspace) -> None:
        oracle = Oracle(None, NoOptions())
        shown = [photographs(case.subject)[oracle.shown(case)] for case in CASES]
        assert shown == shown_by(oracle, CASES, workspace)

    def test_is_scored_against_the_others_alone(self, runs: dict[str, Path]) -> None:
        oracle, encoder = Oracle(None, NoOptions()), mini_dino()
        dino = read_measured(runs["oracle"]).values("dino")
        for case in CASES[:12:2]:
            known = {file: pic.open() for file, pic in Gallery(MINI)(case.subject).items()}
            image = embed(encoder, [known.pop(oracle.shown(case))])
            others = embed(encoder, list(known.values()))
            value = dino[case.subject, case.prompt_index, case.seed]
            assert value == pytest.approx(cosines(image, others).mean(), abs=1e-5)

    def test_one_photograph_is_too_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        one = MINI.subjects[0].model_copy(update={"references": ("00.png",)})
        suite = MINI.model_copy(update={"subjects": (one,)})
        monkeypatch.setattr(f"{MODULE}.load_suite", lambda key: suite)
        with pytest.raises(UserError, match="mini@1 has one photograph of mug-000, and an oracle"):
            Oracle(None, NoOptions()).shown(CASES[0])


def test_a_copy_is_the_photograph_given_and_is_held_against_it(
    runs: dict[str, Path], workspace: Workspace
) -> None:
    given = [photographs(case.subject)[case.reference] for case in CASES]
    assert shown_by(CopyReference(None, NoOptions()), CASES, workspace) == given
    assert not hasattr(CopyReference, "shown")
    dino = {name: read_measured(run).values("dino") for name, run in runs.items()}
    encoder, case = mini_dino(), CASES[0]
    known = {file: pic.open() for file, pic in Gallery(MINI)(case.subject).items()}
    against_all = cosines(
        embed(encoder, [known[case.reference]]), embed(encoder, list(known.values()))
    )
    place = (case.subject, case.prompt_index, case.seed)
    assert dino["copy-reference"][place] == pytest.approx(against_all.mean(), abs=1e-5)


class TestWrongSubject:
    def test_shows_others_of_the_class(self, workspace: Workspace, events: list[Any]) -> None:
        shown = shown_by(WrongSubject(None, NoOptions()), CASES, workspace)
        for case, image in zip(CASES, shown, strict=True):
            kind = case.subject.partition("-")[0]
            alike = [s.directory for s in MINI.subjects if s.directory.startswith(f"{kind}-")]
            assert image in {p for other in alike for p in photographs(other).values()}
            assert image not in photographs(case.subject).values()
        assert events == []

    def test_who_is_alone_in_the_class_is_answered_by_others_and_the_log_says_so(
        self, workspace: Workspace, events: list[Any]
    ) -> None:
        suite = load_suite("dreambench@1")
        cases = make_cases(suite, load_protocol(suite), suite.subjects, 1)
        wrong = WrongSubject(None, NoOptions())
        wrong.train(workspace)
        clock, *more = [case for case in cases if case.subject == "clock"]
        subjects = {subject for subject, _ in wrong.choices(clock)}
        assert subjects == {s.directory for s in suite.subjects} - {"clock"}
        for case in more:
            wrong.pick(case)
        assert events == [{"event": "another class", "subject": "clock", "alone_in_class": "clock"}]

    def test_one_subject_is_too_few(
        self, monkeypatch: pytest.MonkeyPatch, workspace: Workspace
    ) -> None:
        suite = MINI.model_copy(update={"subjects": MINI.subjects[:1]})
        monkeypatch.setattr(f"{MODULE}.load_suite", lambda key: suite)
        with pytest.raises(UserError, match="mini@1 has no subject but mug-000"):
            WrongSubject(None, NoOptions()).pick(CASES[0])


class TestNoise:
    def test_is_uniform_and_each_case_has_its_own(self) -> None:
        noise = Noise(None, NoiseOptions(side=128))
        one, other = (pixels(noise.answer(question(case))).astype(float) for case in CASES[:2])
        assert one.shape == (128, 128, 3)
        levels = np.bincount(one.astype(int).ravel(), minlength=256)
        assert levels.min() > 0.6 * levels.mean()
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02

    @pytest.mark.parametrize(("size", "side"), [((32, 48), 32), ((2048, 1500), 512)])
    def test_is_as_large_as_the_reference_up_to_512_pixels(
        self, size: tuple[int, int], side: int
    ) -> None:
        asked = Question(CASES[0], Image.new("RGB", size))
        assert Noise(None, NoiseOptions()).answer(asked).size == (side, side)


@pytest.mark.parametrize("method", [Oracle, CopyReference, WrongSubject, Noise])
def test_an_answer_depends_on_no_neighbour(
    method: type[Oracle | CopyReference | WrongSubject | Noise], workspace: Workspace
) -> None:
    options: Frozen = method.Options()
    forwards = shown_by(method(None, options), CASES, workspace)
    backwards = shown_by(method(None, options), CASES[::-1], workspace)
    assert forwards == backwards[::-1]
    assert len(set(forwards)) > 3


@pytest.mark.parametrize("anchor", ["oracle", "noise"])
def test_a_run_that_was_cut_off_ends_with_the_bytes_of_an_undisturbed_one(
    anchor: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    out, _ = execute(plan(anchor), tmp_path / anchor)
    lines = (out / "images" / LEDGER).read_text().splitlines(keepends=True)
    (out / "images" / LEDGER).write_text("".join(lines[:20]) + lines[20][:20])
    for name in ("row.json", "rows.parquet"):
        (out / name).unlink()
    assert len(ImageStore(out / "images").digests) == 20
    execute(plan(anchor), out)
    assert contents(out) == contents(runs[anchor])
    assert len(contents(out)) == 49


class TestBackbone:
    def test_none_is_loaded_and_the_result_says_so(self, runs: dict[str, Path]) -> None:
        """None could be: their modules do not exist here."""
        for run in runs.values():
            result = read_measured(run).result
            assert (result.backbone, result.backbone_digest) == ("none", "none")
            assert result.folder_name.startswith(f"{result.method}-none-headline-")

    def test_asking_for_one_is_refused(self) -> None:
        with pytest.raises(UserError, match="'oracle' draws without a backbone: leave out --back"):
            plan("oracle", backbone="mini")

    def test_an_unknown_one_is_still_unknown(self) -> None:
        with pytest.raises(UserError, match="Unknown backbone 'minni'"):
            plan("oracle", backbone="minni")


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="DreamBench's photographs are not here")
def test_real_photographs_are_answered_without_flux(tmp_path: Path) -> None:
    (home() / "data").mkdir(parents=True)
    (home() / "data" / "dreambench").symlink_to(PHOTOGRAPHS.resolve())
    few = plan("oracle", suite="dreambench", protocol="mini", limit_subjects=1, seeds=1)
    folder, result = execute(few, tmp_path / "run")
    assert result.limited and result.mini_weights
    assert result.metrics["dino"].n == 25
    assert len(contents(folder)) == 26
