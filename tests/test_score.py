"""Scoring: rows from files, each image and photograph encoded once, whatever the order."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import registry
from bench.api import Case, Row
from bench.errors import UserError
from bench.identity import file_digest
from bench.metrics.mini_encoders import mini_clip, mini_dino
from bench.mini.grammar import Scene
from bench.mini.world import Pose, render_reference, render_scene, sample_identity
from bench.protocols import MetricSpec, Protocol
from bench.score import Drawn, aggregates, score

SUBJECTS = {"mug-0": 0, "car-1": 1, "bird-2": 2}
SCENES = (Scene("snow", "day"), Scene("stage", "sunset"))
SEEDS = 3
seen: Counter[str] = Counter()


class CountingEncoder:
    """A mini encoder that counts what it is shown."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.encoder = {"dino": mini_dino, "clip": mini_clip}[name]()
        self.digest = self.encoder.digest

    def encode_images(self, images: Sequence[Image.Image]):  # type: ignore[no-untyped-def]
        seen.update(f"{self.name} image {image.tobytes().hex()}" for image in images)
        return self.encoder.encode_images(images)

    def encode_texts(self, texts: Sequence[str]):  # type: ignore[no-untyped-def]
        seen.update(f"{self.name} text {text}" for text in texts)
        return self.encoder.encode_texts(texts)


def counting_dino() -> CountingEncoder:
    return CountingEncoder("dino")


def counting_clip() -> CountingEncoder:
    return CountingEncoder("clip")


@pytest.fixture(autouse=True)
def encoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_added", {kind: {} for kind in registry.BUILT_IN})
    registry.add("encoder", "counting-dino", f"{__name__}:counting_dino")
    registry.add("encoder", "counting-clip", f"{__name__}:counting_clip")
    seen.clear()
    yield


def protocol(**references: str) -> Protocol:
    stated = {"dino": "all", "clip_i": "all", "clip_t": "all", **references}
    encoder = {"dino": "counting-dino", "clip_i": "counting-clip", "clip_t": "counting-clip"}
    return Protocol(
        suite="mini@1",
        name="test",
        version=1,
        description="for this test",
        name_in_prompt="class_noun",
        seeds=SEEDS,
        input_references=dict.fromkeys(SUBJECTS, "1.png"),
        metrics=tuple(
            MetricSpec.model_validate(
                {"metric": metric, "encoder": encoder[metric], "references": which}
            )
            for metric, which in stated.items()
        ),
        mini_weights=True,
    )


def photographs(subject: str) -> dict[str, Image.Image]:
    identity = sample_identity(3, "test", SUBJECTS[subject])
    poses = (Pose(16, 16, 12.5, 0), Pose(14, 17, 11, 0.1), Pose(17, 15, 10, -0.1))
    return {
        f"{number}.png": Image.fromarray(render_reference(identity, pose))
        for number, pose in enumerate(poses)
    }


@pytest.fixture
def drawn(tmp_path: Path) -> list[Drawn]:
    """PNG files of true scenes, for three subjects, two prompts and three seeds."""
    images = []
    for subject, index in SUBJECTS.items():
        for prompt_index, scene in enumerate(SCENES):
            for seed in range(SEEDS):
                case = Case(
                    suite="mini@1",
                    subject=subject,
                    prompt_index=prompt_index,
                    prompt=scene.template.format(subject.split("-")[0]),
                    name=subject.split("-")[0],
                    reference="1.png",
                    seed=seed,
                )
                pose = Pose(15.0 + seed, 19.0, 10.5, 0.05 * seed)
                path = tmp_path / case.file
                path.parent.mkdir(exist_ok=True)
                identity = sample_identity(3, "test", index)
                Image.fromarray(render_scene(identity, scene, pose)).save(path)
                images.append((case, path, file_digest(path)))
    return images


def values(rows: Sequence[Row], metric: str) -> dict[tuple[str, int, int], float]:
    return {(r.subject, r.prompt_index, r.seed): r.value for r in rows if r.metric == metric}


def test_every_image_has_one_row_per_metric_with_its_digest(drawn: list[Drawn]) -> None:
    rows = score(drawn, photographs, protocol())
    assert Counter(row.metric for row in rows) == {"dino": 18, "clip_i": 18, "clip_t": 18}
    digests = {(c.subject, c.prompt_index, c.seed): sha for c, _, sha in drawn}
    assert all(row.image_sha256 == digests[row.subject, row.prompt_index, row.seed] for row in rows)
    assert {row.prompt for row in rows} == {case.prompt for case, _, _ in drawn}


def test_values_are_those_of_the_encoders_one_image_at_a_time(drawn: list[Drawn]) -> None:
    rows = score(drawn, photographs, protocol())
    dino, clip = mini_dino(), mini_clip()
    for case, path, _ in drawn:
        place = case.subject, case.prompt_index, case.seed
        image, known = [Image.open(path)], list(photographs(case.subject).values())
        near = dino.encode_images(image) @ dino.encode_images(known).T
        assert values(rows, "dino")[place] == pytest.approx(near.mean(), abs=1e-6)
        near = clip.encode_images(image) @ clip.encode_images(known).T
        assert values(rows, "clip_i")[place] == pytest.approx(near.mean(), abs=1e-6)
        said = clip.encode_images(image) @ clip.encode_texts([case.prompt]).T
        assert values(rows, "clip_t")[place] == pytest.approx(said.item(), abs=1e-6)


def test_everything_is_encoded_once_whatever_the_number_of_metrics(drawn: list[Drawn]) -> None:
    score(drawn, photographs, protocol())
    kinds = Counter(entry.rsplit(" ", 1)[0] for entry in seen if "image" in entry)
    assert set(seen.values()) == {1}
    assert kinds == {"dino image": 18 + 9, "clip image": 18 + 9}
    assert sum("text" in entry for entry in seen) == len({case.prompt for case, _, _ in drawn})


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_order_and_chunks_change_nothing(
    drawn: list[Drawn], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = score(drawn, photographs, protocol())
    assert score(drawn[::-1], photographs, protocol()) == known
    monkeypatch.setattr("bench.score.CHUNK", chunk)
    found = score(drawn, photographs, protocol())
    assert [row.model_copy(update={"value": 0}) for row in found] == [
        row.model_copy(update={"value": 0}) for row in known
    ]
    np.testing.assert_allclose([r.value for r in found], [r.value for r in known], atol=1e-6)


@pytest.mark.parametrize(
    ("which", "files"),
    [
        ("all", ["0.png", "1.png", "2.png"]),
        ("input", ["1.png"]),
        ("all-but-input", ["0.png", "2.png"]),
    ],
)
def test_the_protocol_says_which_references_count(
    drawn: list[Drawn], which: str, files: list[str]
) -> None:
    rows = score(drawn[:1], photographs, protocol(dino=which))
    encoder = mini_dino()
    image = encoder.encode_images([Image.open(drawn[0][1])])
    counted = encoder.encode_images([photographs("mug-0")[file] for file in files])
    assert rows[0].value == pytest.approx((image @ counted.T).mean(), abs=1e-6)


def test_the_order_of_the_photographs_changes_nothing(drawn: list[Drawn]) -> None:
    def backwards(subject: str) -> Mapping[str, Image.Image]:
        return dict(reversed(photographs(subject).items()))

    found = score(drawn, backwards, protocol())
    known = score(drawn, photographs, protocol())
    np.testing.assert_allclose([r.value for r in found], [r.value for r in known], atol=1e-6)


def test_no_reference_left_to_count_is_said(drawn: list[Drawn]) -> None:
    def only_the_input(subject: str) -> Mapping[str, Image.Image]:
        return {"1.png": photographs(subject)["1.png"]}

    with pytest.raises(UserError, match=r"'dino' counts .*'all-but-input', and mug-0 has none"):
        score(drawn[:1], only_the_input, protocol(dino="all-but-input"))


def test_a_truncated_image_is_named(drawn: list[Drawn]) -> None:
    path = drawn[4][1]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=str(path)):
        score(drawn, photographs, protocol())


def test_progress_ends_with_all_images_done(drawn: list[Drawn]) -> None:
    told: list[tuple[int, int]] = []
    score(drawn, photographs, protocol(), lambda title, done, total: told.append((done, total)))
    assert told[0] == (0, 18) and told[-1] == (18, 18)


def test_aggregates_carry_the_definition_of_the_number(drawn: list[Drawn]) -> None:
    rows = score(drawn, photographs, protocol(clip_i="input"))
    found = aggregates(rows, protocol(clip_i="input"))
    assert list(found) == ["dino", "clip_i", "clip_t"]
    dino = found["dino"]
    assert dino.mean == pytest.approx(np.mean(list(values(rows, "dino").values())))
    assert dino.ci95 is not None and dino.ci95[0] < dino.mean < dino.ci95[1]
    assert (dino.n, dino.n_subjects, dino.unit, dino.higher_is_better) == (18, 3, "cosine", True)
    assert (dino.encoder, dino.encoder_digest) == ("counting-dino", mini_dino().digest)
    assert [aggregate.references for aggregate in found.values()] == ["all", "input", "none"]


def test_importing_the_scorer_imports_no_torch() -> None:
    subprocess.run(
        [sys.executable, "-c", "import sys, bench.score; sys.exit('torch' in sys.modules)"],
        check=True,
    )
