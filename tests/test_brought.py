"""`bench score`: images that other code made, as a user brings them."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.metrics.mini_encoders import mini_dino
from bench.metrics.similarity import cosines, embed
from bench.references import open_reference
from bench.results import read_measured
from bench.suites import Suite, load_suite, prompts_for
from tests.commands import here
from tests.commands import json_here as bench_json
from tests.commands import refusal_here as refusal

SHARED = Path(__file__).parents[1] / "../shared/data/dreambench"


@pytest.fixture(scope="module")
def mini() -> Suite:
    return load_suite("mini")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def whole(mini: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete folder for mini@1: every prompt is answered with one of the subject's photographs.

    A grain of noise makes every file another one.
    """
    folder = tmp_path_factory.mktemp("whole")
    rng = np.random.default_rng(0)
    for subject in mini.subjects:
        (folder / subject.directory).mkdir()
        for index in range(len(prompts_for(mini, subject))):
            file = subject.references[index % len(subject.references)]
            pixels = np.asarray(open_reference(mini, subject, file), int)
            grain = rng.integers(-2, 3, pixels.shape)
            image = Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))
            image.save(folder / subject.directory / f"{index:02d}-0.png")
    return folder


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "images"))


def test_a_folder_is_scored_and_kept_like_a_run(
    whole: Path, mini: Suite, home: Path, tmp_path: Path
) -> None:
    told = bench_json(
        *("score", "--images", whole, "--suite", "mini", "--label", "copies"),
        *("--out", tmp_path / "out"),
        home=home,
    )
    kept = read_measured(tmp_path / "out")
    assert list(told["metrics"]) == ["dino", "clip_i", "clip_t"]
    assert told["metrics"]["dino"]["n"] == 288
    assert (kept.result.method, kept.result.origin, kept.result.limited) == (
        "copies",
        "images",
        False,
    )
    subject = mini.subjects[3]
    image = Image.open(whole / subject.directory / "02-0.png")
    known = [open_reference(mini, subject, file) for file in subject.references]
    expected = cosines(embed(mini_dino(), [image]), embed(mini_dino(), known)).mean()
    value = kept.values("dino")[subject.directory, 2, 0]
    assert value == pytest.approx(expected, abs=1e-6)


def test_every_number_says_how_to_cite_it(whole: Path, home: Path, tmp_path: Path) -> None:
    done = here("score", "--images", whole, "--suite", "mini", home=home, cwd=tmp_path)
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("dino@1 = 0.")
    for part in ("95 % [", "mini@1, protocol headline@1", "encoder mini-dino", "references all"):
        assert part in first
    assert "n = 288 images of 48 subjects" in first
    assert Path(tmp_path, last.removeprefix("Rows and result: "), "row.json").is_file()


def test_the_images_of_a_run_score_as_the_run_did(home: Path, tmp_path: Path) -> None:
    few = (
        "--suite",
        "mini",
        "--limit-subjects",
        "3",
        "--set",
        "steps=2",
        "--out",
        tmp_path / "run",
    )
    assert here("run", "--method", "sft-base", *few, home=home).returncode == 0
    again = ("--images", tmp_path / "run/images", "--suite", "mini", "--allow-partial")
    done = here("score", *again, "--out", tmp_path / "again", home=home)
    assert done.returncode == 0, done.stderr
    run, scored = read_measured(tmp_path / "run"), read_measured(tmp_path / "again")
    assert scored.rows == run.rows
    assert scored.result.limited
    assert "n = 18 images of 3 subjects" in done.stdout


def test_an_incomplete_folder_needs_to_be_asked_for(
    copied: Path, mini: Suite, home: Path, tmp_path: Path
) -> None:
    (copied / mini.subjects[0].directory / "01-0.png").unlink()
    ask = ("score", "--images", copied, "--suite", "mini", "--out", tmp_path / "out")
    sentence = refusal(*ask, home=home)
    assert "Of 288 images asked for" in sentence and "1 is missing" in sentence
    assert not (tmp_path / "out").exists()
    told = bench_json(*ask, "--allow-partial", home=home)
    assert told["limited"] and told["metrics"]["dino"]["n"] == 287
    assert "n = 287 images" in told["citations"][0] and "partial" in told["citations"][0]


def test_every_planted_fault_is_named_in_one_table(copied: Path, mini: Suite, home: Path) -> None:
    folders = [copied / subject.directory for subject in mini.subjects[:8]]
    planted = {name: folder / "00-0.png" for name, folder in zip("abcdefgh", folders, strict=True)}
    planted["a"].write_bytes(planted["a"].read_bytes()[:-40])
    Image.open(planted["b"]).resize((48, 48)).save(planted["b"])
    Image.open(planted["c"]).convert("RGBA").save(planted["c"])
    jpeg = planted["d"].with_suffix(".jpg")
    Image.open(planted["d"]).convert("CMYK").save(jpeg)
    planted["d"].unlink()
    shutil.copyfile(planted["e"], planted["e"].with_suffix(".webp"))
    planted["f"].unlink()
    planted["g"].write_text("this is no image")
    shutil.copyfile(planted["h"], planted["h"].with_name("01-0.png"))
    done = here("score", "--images", copied, "--suite", "mini", home=home)
    assert done.returncode == 2
    told = here("score", "--images", copied, "--suite", "mini", "--allow-partial", home=home)
    assert told.returncode == 0, told.stderr
    for kind in ("unreadable", "size", "alpha", "mode", "duplicate", "missing", "identical"):
        assert f" {kind} " in done.stderr, done.stderr
    for folder in folders:
        assert f"{folder.name}/00-0" in done.stderr or folder == folders[7]
    assert "CMYK" in done.stderr


def test_a_manifest_says_which_file_answers_what(
    whole: Path, mini: Suite, home: Path, tmp_path: Path
) -> None:
    with (tmp_path / "made.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "subject", "prompt", "seed"])
        for subject in mini.subjects:
            for index in range(len(prompts_for(mini, subject))):
                path = whole / subject.directory / f"{index:02d}-0.png"
                writer.writerow([path, subject.directory, index, 0])
    by_manifest = ("--images", tmp_path / "made.csv", "--out", tmp_path / "a")
    by_folder = ("--images", whole, "--out", tmp_path / "b")
    for way in (by_manifest, by_folder):
        assert here("score", *way, "--suite", "mini", home=home).returncode == 0
    assert read_measured(tmp_path / "a").rows == read_measured(tmp_path / "b").rows


def test_metrics_beyond_the_protocols_are_chosen_by_name(
    whole: Path, home: Path, tmp_path: Path
) -> None:
    chosen = "dino,kid:mini-dino,diversity_mse,above_ceiling:mini-dino"
    told = bench_json(
        *("score", "--images", whole, "--suite", "mini", "--metrics", chosen),
        *("--out", tmp_path / "out"),
        home=home,
    )
    found = told["metrics"]
    assert list(found) == ["dino", "kid.mini-dino", "diversity_mse", "above_ceiling.mini-dino"]
    assert found["kid.mini-dino"]["n_real"] == 48 * 4
    assert found["kid.mini-dino"]["ci95"][0] < found["kid.mini-dino"]["mean"]
    assert found["diversity_mse"]["higher_is_better"]


def test_scored_folders_are_compared_like_runs(whole: Path, home: Path, tmp_path: Path) -> None:
    ask = ("score", "--images", whole, "--suite", "mini", "--metrics", "dino,kid:mini-dino")
    for name in ("a", "b"):
        assert here(*ask, "--out", tmp_path / name, "--label", name, home=home).returncode == 0
    told = bench_json("compare", tmp_path / "a", tmp_path / "b", home=home)
    assert told["dino"]["difference"] == told["kid.mini-dino"]["difference"] == 0


def test_the_suites_own_photographs_are_held_against_each_other(
    mini: Suite, home: Path, tmp_path: Path
) -> None:
    told = bench_json(
        "score", "--photographs", "--suite", "mini", "--out", tmp_path / "out", home=home
    )
    assert list(told["metrics"]) == ["dino", "clip_i"]
    subject = mini.subjects[5]
    photographs = [open_reference(mini, subject, file) for file in subject.references]
    features = embed(mini_dino(), photographs)
    expected = np.delete(cosines(features[1], features), 1).mean()
    value = read_measured(tmp_path / "out").values("dino")[subject.directory, 1, 0]
    assert value == pytest.approx(expected, abs=1e-6)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs DreamBench's photographs")
def test_dreambenchs_photographs_go_through_with_the_mini_encoders(tmp_path: Path) -> None:
    assert here("data", "add", "dreambench", SHARED, home=tmp_path).returncode == 0
    asked = ("score", "--photographs", "--suite", "dreambench", "--protocol", "mini")
    told = bench_json(*asked, "--out", tmp_path / "out", home=tmp_path)
    assert told["metrics"]["dino"]["n"] == 158
    assert told["mini_weights"] and "mini weights" in told["citations"][0]


def test_under_all_protocols_a_table_and_a_folder_each_say_what_the_images_come_to(
    whole: Path, home: Path, tmp_path: Path
) -> None:
    ask = ("score", "--images", whole, "--suite", "mini", "--protocol", "all", "--label", "copies")
    done = here(*ask, "--out", tmp_path / "out", home=home)
    assert done.returncode == 0, done.stderr
    assert "headline@1 (mini weights)" in done.stdout
    assert "They answer one way of asking" in done.stdout
    alone = ("score", "--images", whole, "--suite", "mini", "--label", "copies")
    told = bench_json(*alone, "--out", tmp_path / "alone", home=home)
    assert f"{told['metrics']['dino']['mean']:.4f}" in done.stdout
    kept = read_measured(tmp_path / "out" / "headline@1")
    assert kept.rows == read_measured(tmp_path / "alone").rows


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs DreamBench's photographs")
def test_under_all_protocols_what_cannot_be_scored_has_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert here("data", "add", "dreambench", SHARED, home=tmp_path).returncode == 0
    folder = tmp_path / "images" / "cat"
    folder.mkdir(parents=True)
    for seed in range(4):
        Image.new("RGB", (32, 32), (seed, 40, 90)).save(folder / f"00-{seed}.png")
    ask = ("score", "--images", tmp_path / "images", "--suite", "dreambench", "--protocol", "all")
    told = bench_json(*ask, "--allow-partial", "--out", tmp_path / "out", home=tmp_path)
    found = told["protocols"]
    assert "bench weights fetch dino-vits16" in found["headline@1"]["reason"]
    assert found["mini@1"]["limited"] and found["mini@1"]["metrics"]["dino"]["n"] == 4
    sentence = refusal(*ask, home=tmp_path)
    assert "No protocol could be scored" in sentence and "of the 3000 images" in sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Say what to score"),
        (("--suite", "mini"), "Say what to score"),
        (("--images", "nowhere", "--suite", "mini"), "nowhere"),
        (("--images", ".", "--suite", "mini", "--metrics", "dinno"), "did you mean dino"),
        (("--images", ".", "--suite", "mini", "--precision", "fp8"), "fp16"),
        (("--real", "."), "all of '--real DIR'"),
        (("--photographs", "--suite", "mini", "--protocol", "all"), "name one protocol"),
        (("--images", "nowhere", "--suite", "mini", "--protocol", "all"), "nowhere"),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_sentence(
    arguments: tuple[str, ...], words: str, home: Path, tmp_path: Path
) -> None:
    assert words in refusal("score", *arguments, home=home)


def test_a_label_that_cannot_stand_on_a_board_is_refused(whole: Path, home: Path) -> None:
    ask = ("score", "--images", whole, "--suite", "mini", "--label", "My Method")
    assert "'My Method' cannot stand on a board" in refusal(*ask, home=home)


def test_nothing_that_lies_in_the_folder_of_the_result_is_lost(
    whole: Path, home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ask = ("score", "--images", whole, "--suite", "mini", "--out", out)
    for _ in range(2):
        assert here(*ask, home=home).returncode == 0
    kept = (out / "row.json").read_bytes()
    assert "holds something else" in refusal(*ask, "--label", "other", home=home)
    assert (out / "row.json").read_bytes() == kept
    out.joinpath("row.json").unlink()
    assert "holds something else" in refusal(*ask, home=home)


def test_json_is_one_document(whole: Path, home: Path, tmp_path: Path) -> None:
    ask = ("score", "--images", whole, "--suite", "mini", "--json", "--out", tmp_path / "out")
    done = here(*ask, home=home)
    assert json.loads(done.stdout)["images"]["usable"] == 288
