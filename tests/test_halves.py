"""Numbers about sets for halves of the subjects, from features that scoring has kept."""

import shlex
import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.compare import compare_all
from bench.errors import UserError
from bench.features import FeatureStore
from bench.halves import differences
from bench.metrics.fid import Fid
from bench.metrics.mini_encoders import mini_dino
from bench.metrics.similarity import embed
from bench.references import open_reference
from bench.results import Measured, read_measured
from bench.suites import Suite, load_suite
from bench.views import View
from tests.commands import here, json_here

SUBJECTS, PROMPTS = 4, 6
METRIC = "fid.mini-dino"


@pytest.fixture(scope="module")
def mini() -> Suite:
    return load_suite("mini")


@pytest.fixture(scope="module")
def work(mini: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods' images of four subjects, ``noisy`` and ``dark``, and what scoring them left."""
    folder = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(0)
    for subject in mini.subjects[:SUBJECTS]:
        pixels = np.asarray(open_reference(mini, subject, subject.references[0]), float)
        for index in range(PROMPTS):
            grain = rng.normal(0, 40, pixels.shape)
            draw(folder / "noisy" / subject.directory / f"{index}-0.png", pixels + grain)
            draw(folder / "dark" / subject.directory / f"{index}-0.png", pixels / 3 + grain / 2)
    for name in ("noisy", "dark"):
        score(folder, f"--images {name} --metrics dino,fid:mini-dino --out scored/{name}")
    return folder


def draw(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def score(work: Path, words: str) -> None:
    asked = ("score", "--suite", "mini", "--allow-partial", *words.split())
    done = here(*asked, home=work / "home", cwd=work)
    assert done.returncode == 0, done.stderr


@pytest.fixture(autouse=True)
def home(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(work / "home"))
    monkeypatch.chdir(work)


@pytest.fixture
def sides(work: Path) -> tuple[Measured, Measured]:
    return read_measured(work / "scored/noisy"), read_measured(work / "scored/dark")


def test_every_half_has_the_number_of_its_subjects_images_and_photographs(
    sides: tuple[Measured, Measured], work: Path, mini: Suite
) -> None:
    subjects = sorted(mini.subjects[:SUBJECTS], key=lambda subject: subject.directory)
    encoder = mini_dino()

    def number(method: str, half: tuple[int, ...]) -> float:
        chosen = [subjects[index] for index in half]
        folders = [work / method / subject.directory for subject in chosen]
        made = [Image.open(path).convert("RGB") for f in folders for path in sorted(f.iterdir())]
        real = [
            open_reference(mini, subject, file) for subject in chosen for file in subject.references
        ]
        told: float = Fid().score(embed(encoder, made), embed(encoder, real))
        return told

    expected = [
        number("noisy", half) - number("dark", half) for half in combinations(range(SUBJECTS), 2)
    ]
    assert differences(*sides, METRIC) == pytest.approx(expected, rel=1e-4)


def test_no_image_is_needed(
    sides: tuple[Measured, Measured], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*anything: object) -> None:
        raise AssertionError("an image is opened")

    monkeypatch.setattr(Image, "open", refuse)
    assert len(differences(*sides, METRIC)) == 6


def test_the_interval_is_about_the_difference_and_asked_for(work: Path) -> None:
    runs = [work / "scored/noisy", work / "scored/dark"]
    [told] = compare_all(runs, halves=differences)
    low, high = told[METRIC].ci95_halves or (0, 0)
    assert low < told[METRIC].difference < high
    assert told["dino"].ci95_halves is None
    [unasked] = compare_all(runs)
    assert unasked[METRIC].ci95_halves is None
    assert unasked[METRIC].ci95 == told[METRIC].ci95


def test_features_that_are_not_kept_are_computed_by_the_command_that_is_named(
    sides: tuple[Measured, Measured], work: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match="are not kept here: compute them with '") as refused:
        differences(*sides, METRIC)
    command = str(refused.value).partition("'")[2].rpartition("'")[0]
    for name in ("noisy", "dark"):
        words = shlex.split(command.replace("DIR", str(work / name)))
        assert here(*words[1:], "--out", tmp_path / name, home=tmp_path).returncode == 0
    assert len(differences(*sides, METRIC)) == 6


def test_compare_tells_halves_beside_the_jackknife_or_why_not(work: Path, tmp_path: Path) -> None:
    runs = ("compare", "scored/noisy", "scored/dark")
    plain = here(*runs, home=work / "home")
    assert "--halves adds an interval" in plain.stdout
    asked = json_here(*runs, "--halves", home=work / "home")
    unasked = json_here(*runs, home=work / "home")
    assert asked[METRIC].pop("ci95_halves") and unasked[METRIC].pop("ci95_halves") is None
    assert asked == unasked
    lacking = here(*runs, "--halves", home=tmp_path)
    assert (lacking.returncode, lacking.stdout) == (0, plain.stdout)
    assert lacking.stderr.startswith(f"{METRIC}: only the jackknife's interval is told. The feat")
    assert lacking.stderr.count("\n") == 1


def test_rows_of_sets_alone_do_not_say_what_was_scored(work: Path) -> None:
    score(work, "--images noisy --metrics kid:mini-dino --out sets")
    told = read_measured(work / "sets")
    with pytest.raises(UserError, match=r"do not name the images that kid\.mini-dino is about"):
        differences(told, told, "kid.mini-dino")


def test_features_that_come_to_another_number_are_not_believed(
    sides: tuple[Measured, Measured], work: Path, tmp_path: Path
) -> None:
    recipe = View(mini_dino()).recipe
    images = [row.image_sha256 for row in sides[0].rows if row.metric == "dino"]
    store = FeatureStore(Path(shutil.copy(work / "home/cache/features.sqlite", tmp_path)))
    altered = FeatureStore(tmp_path / "altered.sqlite")
    photographs = [image.sha256 for image in load_suite("mini").images]
    altered.put(recipe, store.get(recipe, photographs))
    altered.put(recipe, {key: 2 * row for key, row in store.get(recipe, images).items()})
    with pytest.raises(UserError, match=rf"come to a {METRIC} of .* instead of .*: score its"):
        differences(sides[0], sides[0], METRIC, altered)


def test_a_run_of_another_suite_is_refused(sides: tuple[Measured, Measured]) -> None:
    gone = Measured(
        sides[0].folder,
        sides[0].result.model_copy(update={"suite_identity": "0" * 64}),
        sides[0].rows,
    )
    with pytest.raises(UserError, match="was measured on another content of mini@1"):
        differences(gone, sides[1], METRIC)
