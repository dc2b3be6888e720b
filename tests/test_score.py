"""Scoring: rows from files, each image and photograph encoded once, whatever the order."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from bench import registry
from bench.api import WHOLE_SET, Case, Encoder, Row
from bench.errors import UserError
from bench.features import FeatureStore
from bench.gallery import Photographs, Picture
from bench.identity import file_digest
from bench.metrics.mini_encoders import mini_clip, mini_dino
from bench.metrics.similarity import cosines, embed
from bench.mini.grammar import Scene
from bench.mini.world import Pose, render_reference, render_scene, sample_identity
from bench.pictures import read
from bench.protocols import MetricSpec, Protocol
from bench.score import aggregates, score, select
from bench.sitting import Drawn, Sitting
from bench.stats import jackknife

if TYPE_CHECKING:
    from bench.api import Embeddings, Labels, Pixels

SUBJECTS = {"mug-0": 0, "car-1": 1, "bird-2": 2}
SCENES = (Scene("snow", "day"), Scene("stage", "sunset"))
SEEDS = 3
seen: Counter[str] = Counter()


class CountingEncoder:
    """A mini encoder that counts what it is shown."""

    precision = "fp32"

    def __init__(self, name: str) -> None:
        self.name = name
        self.encoder: Encoder = {"dino": mini_dino, "clip": mini_clip}[name]()
        self.digest, self.recipe = self.encoder.digest, self.encoder.recipe

    def prepare(self, image: Image.Image) -> Pixels:
        return self.encoder.prepare(image)

    def encode_images(self, prepared: Sequence[Pixels]) -> Embeddings:
        seen.update(f"{self.name} image {pixels.tobytes().hex()}" for pixels in prepared)
        return self.encoder.encode_images(prepared)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        seen.update(f"{self.name} text {text}" for text in texts)
        return self.encoder.encode_texts(texts)


class Pixelwise:
    """Mean absolute difference of pixels; counts the pairs."""

    name, digest, precision, recipe = "pixelwise", "none", "fp32", "pixelwise/1"

    def distances(self, pairs: Sequence[tuple[Image.Image, Image.Image]]) -> list[float]:
        seen.update(f"pair {a.tobytes().hex()} {b.tobytes().hex()}" for a, b in pairs)
        return [float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean()) for a, b in pairs]


class Near:
    """Distance to the references."""

    name, version, kind, others = "near", 1, "pair", "references"
    higher_is_better, unit, encoder = False, "grey levels", "pixelwise"

    def __init__(self, comparer: Pixelwise) -> None:
        self.comparer = comparer


class Varied(Near):
    """Distance to the siblings."""

    name, others, higher_is_better = "varied", "siblings", True


class Apart:
    """How far the means of two sets lie apart."""

    name, version, kind, bias = "apart", 1, "set", "not much"
    higher_is_better, unit, encoder = False, "distance", "counting-dino"

    def __init__(self, encoder: CountingEncoder) -> None:
        self._encoder = encoder

    def score(self, generated: Embeddings, real: Embeddings) -> float:
        return float(np.linalg.norm(generated.mean(axis=0) - real.mean(axis=0)))

    def leave_out(
        self, generated: Embeddings, real: Embeddings, groups: Labels, real_groups: Labels
    ) -> dict[str, float]:
        return {
            str(group): self.score(generated[groups != group], real[real_groups != group])
            for group in np.unique(groups)
        }


def counting_dino(precision: str = "fp32") -> CountingEncoder:
    return CountingEncoder("dino")


def counting_clip(precision: str = "fp32") -> CountingEncoder:
    return CountingEncoder("clip")


def pixelwise(precision: str = "fp32") -> Pixelwise:
    return Pixelwise()


@pytest.fixture(autouse=True)
def encoders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(registry, "_added", {kind: {} for kind in registry.BUILT_IN})
    registry.add("encoder", "counting-dino", f"{__name__}:counting_dino")
    registry.add("encoder", "counting-clip", f"{__name__}:counting_clip")
    registry.add("encoder", "pixelwise", f"{__name__}:pixelwise")
    for metric in ("Near", "Varied", "Apart"):
        registry.add("metric", metric.lower(), f"{__name__}:{metric}")
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
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
        fixed_references=dict.fromkeys(SUBJECTS, "2.png"),
        metrics=tuple(
            MetricSpec.model_validate(
                {"metric": metric, "encoder": encoder[metric], "references": which}
            )
            for metric, which in stated.items()
        ),
        mini_weights=True,
    )


def photograph(subject: str, number: int) -> Image.Image:
    identity = sample_identity(3, "test", SUBJECTS[subject])
    poses = (Pose(16, 16, 12.5, 0), Pose(14, 17, 11, 0.1), Pose(17, 15, 10, -0.1))
    return Image.fromarray(render_reference(identity, poses[number]))


def photographs(subject: str) -> dict[str, Picture]:
    return {
        f"{number}.png": Picture(f"{subject} {number}", partial(photograph, subject, number))
        for number in range(3)
    }


def sitting(
    drawn: Sequence[Drawn], stated: Protocol | None = None, known: Photographs = photographs
) -> Sitting:
    return Sitting.of_files(drawn, known, stated or protocol())


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
                path = tmp_path / "images" / case.file
                path.parent.mkdir(exist_ok=True, parents=True)
                identity = sample_identity(3, "test", index)
                Image.fromarray(render_scene(identity, scene, pose)).save(path)
                images.append((case, path, file_digest(path)))
    return images


def values(rows: Sequence[Row], metric: str) -> dict[tuple[str, int, int], float]:
    return {(r.subject, r.prompt_index, r.seed): r.value for r in rows if r.metric == metric}


def test_every_image_has_one_row_per_metric_with_its_digest(drawn: list[Drawn]) -> None:
    rows = score(sitting(drawn))
    assert Counter(row.metric for row in rows) == {"dino": 18, "clip_i": 18, "clip_t": 18}
    digests = {(c.subject, c.prompt_index, c.seed): sha for c, _, sha in drawn}
    assert all(row.image_sha256 == digests[row.subject, row.prompt_index, row.seed] for row in rows)
    assert {row.prompt for row in rows} == {case.prompt for case, _, _ in drawn}


def test_values_are_those_of_the_encoders_one_image_at_a_time(drawn: list[Drawn]) -> None:
    rows = score(sitting(drawn))
    dino, clip = mini_dino(), mini_clip()
    for case, path, _ in drawn:
        place = case.subject, case.prompt_index, case.seed
        image = [Image.open(path).convert("RGB")]
        known = [photograph(case.subject, number) for number in range(3)]
        near = cosines(embed(dino, image), embed(dino, known))
        assert values(rows, "dino")[place] == pytest.approx(near.mean(), abs=1e-6)
        near = cosines(embed(clip, image), embed(clip, known))
        assert values(rows, "clip_i")[place] == pytest.approx(near.mean(), abs=1e-6)
        said = cosines(embed(clip, image), clip.encode_texts([case.prompt]))
        assert values(rows, "clip_t")[place] == pytest.approx(said.item(), abs=1e-6)


def test_everything_is_encoded_once_whatever_the_number_of_metrics(drawn: list[Drawn]) -> None:
    more = select(protocol(), ["dino", "clip_i", "clip_t", "apart", "near", "varied"])
    score(sitting(drawn, more))
    kinds = Counter(entry.rsplit(" ", 1)[0] for entry in seen if "image" in entry)
    assert set(seen.values()) == {1}
    assert kinds == {"dino image": 18 + 9, "clip image": 18 + 9}
    assert sum("text" in entry for entry in seen) == len({case.prompt for case, _, _ in drawn})


def test_every_file_is_opened_once_whatever_the_number_of_metrics(
    drawn: list[Drawn], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Counter[Path] = Counter()

    def counted(path: Path) -> Image.Image:
        opened[path] += 1
        return read(path)

    monkeypatch.setattr("bench.sitting.read", counted)
    more = select(protocol(), ["dino", "clip_i", "clip_t", "apart", "near", "varied"])
    score(sitting(drawn, more))
    assert opened == Counter(path for _, path, _ in drawn)


def test_a_second_scoring_decodes_and_encodes_nothing(drawn: list[Drawn]) -> None:
    more = select(protocol(), ["dino", "clip_i", "clip_t", "apart", "near", "varied"])
    known = score(sitting(drawn, more))
    seen.clear()
    for _, path, _ in drawn:
        path.unlink()
    assert score(sitting(drawn, more)) == known
    assert not seen


def test_a_scoring_that_broke_off_goes_on_where_it_was(
    drawn: list[Drawn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.observe.CHUNK", 5)
    whole = drawn[0][1].read_bytes()
    drawn[0][1].write_bytes(whole[:200])
    with pytest.raises(UserError, match=str(drawn[0][1])):
        score(sitting(drawn))
    seen.clear()
    drawn[0][1].write_bytes(whole)
    rows = score(sitting(drawn))
    assert len(values(rows, "dino")) == 18
    assert sum("dino image" in entry for entry in seen) < 18


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_order_chunks_and_cache_change_nothing(
    drawn: list[Drawn], chunk: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = score(sitting(drawn))
    assert score(sitting(drawn[::-1])) == known
    monkeypatch.setattr("bench.observe.CHUNK", chunk)
    monkeypatch.setattr("bench.observe._cores", lambda: chunk)
    found = score(sitting(drawn), store=FeatureStore(tmp_path / "another.sqlite"))
    assert [row.model_copy(update={"value": 0}) for row in found] == [
        row.model_copy(update={"value": 0}) for row in known
    ]
    np.testing.assert_allclose([r.value for r in found], [r.value for r in known], atol=1e-6)


@pytest.mark.parametrize(
    ("which", "numbers"),
    [("all", [0, 1, 2]), ("input", [1]), ("all-but-input", [0, 2]), ("fixed", [2])],
)
def test_the_protocol_says_which_references_count(
    drawn: list[Drawn], which: str, numbers: list[int]
) -> None:
    rows = score(sitting(drawn[:1], protocol(dino=which)))
    encoder = mini_dino()
    image = embed(encoder, [Image.open(drawn[0][1]).convert("RGB")])
    counted = embed(encoder, [photograph("mug-0", number) for number in numbers])
    assert rows[0].value == pytest.approx(cosines(image, counted).mean(), abs=1e-6)


def test_the_order_of_the_photographs_changes_nothing(drawn: list[Drawn]) -> None:
    def backwards(subject: str) -> Mapping[str, Picture]:
        return dict(reversed(photographs(subject).items()))

    found = score(sitting(drawn, known=backwards))
    known = score(sitting(drawn))
    np.testing.assert_allclose([r.value for r in found], [r.value for r in known], atol=1e-6)


def test_no_reference_left_to_count_is_said(drawn: list[Drawn]) -> None:
    def only_the_input(subject: str) -> Mapping[str, Picture]:
        return {"1.png": photographs(subject)["1.png"]}

    with pytest.raises(UserError, match=r"'dino' counts .*'all-but-input', and mug-0 has none"):
        score(sitting(drawn[:1], protocol(dino="all-but-input"), only_the_input))


def test_a_pair_metric_is_the_mean_distance_to_the_references(drawn: list[Drawn]) -> None:
    rows = score(sitting(drawn, select(protocol(), ["near"])))
    case, path, _ = drawn[7]
    image = np.asarray(Image.open(path), float)
    known = [np.asarray(photograph(case.subject, number), float) for number in range(3)]
    expected = np.mean([np.abs(image - other).mean() for other in known])
    assert values(rows, "near")[case.subject, case.prompt_index, case.seed] == expected


def test_references_are_brought_to_the_size_of_the_image(
    drawn: list[Drawn], tmp_path: Path
) -> None:
    case, path, _ = drawn[0]
    large = Image.open(path).resize((50, 40))
    large.save(path)
    rows = score(sitting([(case, path, file_digest(path))], select(protocol(), ["near"])))
    other = photograph(case.subject, 0).resize((50, 40), Image.Resampling.BICUBIC)
    assert Pixelwise().distances([(large, other)])[0] < 255
    assert any(entry.endswith(other.tobytes().hex()) for entry in seen)
    assert len(rows) == 1


def test_diversity_is_the_mean_distance_over_the_pairs_of_a_prompt(drawn: list[Drawn]) -> None:
    rows = score(sitting(drawn, select(protocol(), ["varied"])))
    images = [np.asarray(Image.open(path), float) for _, path, _ in drawn[:SEEDS]]
    expected = [np.abs(a - b).mean() for a, b in combinations(images, 2)]
    first = [value for key, value in values(rows, "varied").items() if key[:2] == ("mug-0", 0)]
    assert np.mean(first) == pytest.approx(np.mean(expected), rel=1e-12)


def test_a_toy_encoder_makes_the_whole_a_toy() -> None:
    serious = protocol().model_copy(update={"mini_weights": False})
    assert not select(serious, ["dino"]).mini_weights
    assert select(serious, ["dino", "kid:mini-dino"]).mini_weights


def test_what_a_metric_cannot_do_is_said(drawn: list[Drawn]) -> None:
    asked = select(protocol(), ["above_ceiling:counting-dino"])

    def single(subject: str) -> Mapping[str, Picture]:
        return dict(list(photographs(subject).items())[:1])

    with pytest.raises(UserError, match=r"cannot be computed for mug-0/00-0\.png: a ceiling takes"):
        score(sitting(drawn[:1], asked, single))


def test_diversity_of_a_single_image_is_refused(drawn: list[Drawn]) -> None:
    with pytest.raises(UserError, match=r"'varied' compares .* mug-0 has only one for prompt 0"):
        score(sitting(drawn[:1], select(protocol(), ["varied"])))


def test_a_set_metric_has_a_row_for_the_whole_and_one_without_every_subject(
    drawn: list[Drawn],
) -> None:
    rows = score(sitting(drawn, select(protocol(), ["apart"])))
    found = {row.subject: row.value for row in rows}
    encoder = mini_dino()
    images = {
        subject: [Image.open(path).convert("RGB") for c, path, _ in drawn if c.subject == subject]
        for subject in SUBJECTS
    }
    for without in (WHOLE_SET, *SUBJECTS):
        kept = [subject for subject in SUBJECTS if subject != without]
        generated = embed(encoder, [image for subject in kept for image in images[subject]])
        real = embed(encoder, [photograph(s, number) for s in kept for number in range(3)])
        expected = np.linalg.norm(generated.mean(axis=0) - real.mean(axis=0))
        assert found[without] == pytest.approx(expected, rel=1e-5)


def test_the_interval_of_a_set_metric_is_the_jackknifes(drawn: list[Drawn]) -> None:
    stated = sitting(drawn, select(protocol(), ["apart"]))
    rows = score(stated)
    told = aggregates(rows, stated)["apart"]
    without = [row.value for row in rows if row.subject != WHOLE_SET]
    assert (told.mean, told.n, told.n_real, told.n_subjects) == (rows[0].value, 18, 9, 3)
    assert told.ci95 == jackknife(told.mean, without)
    assert (told.kind, told.bias) == ("set", "not much")


class Corner:
    """A region: the corner where the noun's length says; nothing is found of what has none."""

    recipe, findings = "corner/1", "corner/1"

    def find(self, images: Sequence[Image.Image], nouns: Sequence[str]) -> list[Pixels]:
        pairs = zip(images, nouns, strict=True)
        seen.update(f"sought {noun} {image.tobytes().hex()}" for image, noun in pairs)
        return [np.array([len(noun)]) for noun in nouns]

    def found(self, finding: Pixels) -> bool:
        return bool(finding[0])

    def show(self, image: Image.Image, finding: Pixels) -> Image.Image:
        side = int(finding[0])
        return image.crop((0, 0, side, side)) if side else image

    def show_pair(
        self, image: Image.Image, finding: Pixels, other: Image.Image, other_finding: Pixels
    ) -> tuple[Image.Image, Image.Image]:
        return self.show(image, finding), self.show(other, other_finding)


@pytest.fixture
def cornered(monkeypatch: pytest.MonkeyPatch) -> Protocol:
    """DINO, distances and shares of findings, all through the region."""
    monkeypatch.setitem(registry.BUILT_IN["region"], "box", f"{__name__}:Corner")
    chosen = select(protocol(), ["dino", "near", "grounded:counting-dino"])
    specs = tuple(spec.model_copy(update={"region": "box"}) for spec in chosen.metrics)
    return chosen.model_copy(update={"metrics": specs})


def with_nouns(subject: str) -> dict[str, Picture]:
    """Photographs in which something twelve letters long is looked for, or nothing."""
    noun = "" if subject == "car-1" else "twelve chars"
    return {file: replace(picture, noun=noun) for file, picture in photographs(subject).items()}


def test_a_region_is_what_encoders_and_comparers_see(
    drawn: list[Drawn], cornered: Protocol
) -> None:
    rows = score(sitting(drawn, cornered, with_nouns))
    case, path, _ = drawn[2]
    image = Image.open(path).convert("RGB").crop((0, 0, 12, 12))
    known = [photograph(case.subject, number).crop((0, 0, 12, 12)) for number in range(3)]
    place = case.subject, case.prompt_index, case.seed
    expected = cosines(embed(mini_dino(), [image]), embed(mini_dino(), known)).mean()
    assert values(rows, "dino")[place] == pytest.approx(expected, abs=1e-6)
    near = np.mean(Pixelwise().distances([(image, other) for other in known]))
    assert values(rows, "near")[place] == pytest.approx(near)


def test_where_nothing_was_found_the_whole_is_seen_and_the_share_says_so(
    drawn: list[Drawn], cornered: Protocol
) -> None:
    stated = sitting(drawn, cornered, with_nouns)
    rows = score(stated)
    whole = values(score(sitting(drawn)), "dino")
    found = values(rows, "grounded.counting-dino")
    for place, value in values(rows, "dino").items():
        missed = place[0] == "car-1"
        assert found[place] == (0 if missed else 1)
        assert (abs(value - whole[place]) < 1e-6) == missed
    assert aggregates(rows, stated)["grounded.counting-dino"].mean == pytest.approx(2 / 3)
    assert aggregates(rows, stated)["dino"].region == "box"


def test_every_picture_is_searched_once_and_findings_are_kept(
    drawn: list[Drawn], cornered: Protocol
) -> None:
    known = score(sitting(drawn, cornered, with_nouns))
    sought = {entry: times for entry, times in seen.items() if entry.startswith("sought")}
    assert len(sought) == 18 + 9 and set(sought.values()) == {1}
    seen.clear()
    assert score(sitting(drawn, cornered, with_nouns)) == known
    assert not seen


def test_metrics_are_chosen_by_name_and_by_encoder() -> None:
    chosen = select(protocol(dino="input"), ["dino", "dino:mini-dino", "clip_t"])
    assert [(spec.key, spec.encoder, spec.references) for spec in chosen.metrics] == [
        ("dino", "counting-dino", "input"),
        ("dino.mini-dino", "mini-dino", "all"),
        ("clip_t", "counting-clip", "all"),
    ]
    regions = select(protocol(), ["dino/box", "near/background", "background_similarity", "dino"])
    assert [(spec.key, spec.region) for spec in regions.metrics] == [
        ("dino.box", "box"),
        ("near.background", "background"),
        ("background_similarity", "background"),
        ("dino", "whole"),
    ]
    with pytest.raises(UserError, match="Unknown region 'boks'"):
        select(protocol(), ["dino/boks"])
    with pytest.raises(UserError, match="Unknown metric 'dinno'"):
        select(protocol(), ["dinno"])
    with pytest.raises(UserError, match="Unknown encoder 'mini-din'"):
        select(protocol(), ["dino:mini-din"])


def test_a_truncated_image_is_named(drawn: list[Drawn]) -> None:
    path = drawn[4][1]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=str(path)):
        score(sitting(drawn))


def test_progress_ends_with_all_images_done(drawn: list[Drawn]) -> None:
    told: list[tuple[str, int, int]] = []
    score(sitting(drawn), lambda title, done, total: told.append((title, done, total)))
    assert told == [("References", 9, 9), ("Scoring", 18, 18)]


def test_aggregates_carry_the_definition_of_the_number(drawn: list[Drawn]) -> None:
    stated = sitting(drawn, protocol(clip_i="input"))
    rows = score(stated)
    found = aggregates(rows, stated)
    assert list(found) == ["dino", "clip_i", "clip_t"]
    dino = found["dino"]
    assert dino.mean == pytest.approx(np.mean(list(values(rows, "dino").values())))
    assert dino.ci95 is not None and dino.ci95[0] < dino.mean < dino.ci95[1]
    assert (dino.n, dino.n_subjects, dino.unit, dino.higher_is_better) == (18, 3, "cosine", True)
    assert (dino.encoder, dino.encoder_digest) == ("counting-dino", mini_dino().digest)
    assert (dino.precision, dino.region, dino.average) == ("fp32", "whole", "images")
    assert [aggregate.references for aggregate in found.values()] == ["all", "input", "none"]


def test_a_protocol_may_weigh_subjects_alike(drawn: list[Drawn]) -> None:
    some = drawn[:7]
    flat = sitting(some)
    even = sitting(some, protocol().model_copy(update={"average": "subjects"}))
    rows = score(flat)
    by_subject = {
        subject: [row.value for row in rows if (row.metric, row.subject) == ("dino", subject)]
        for subject in ("mug-0", "car-1")
    }
    told = aggregates(rows, even)["dino"]
    assert told.mean == pytest.approx(np.mean([np.mean(v) for v in by_subject.values()]))
    assert told.mean != aggregates(rows, flat)["dino"].mean
    assert told.n == 7


def test_importing_the_scorer_imports_no_torch() -> None:
    subprocess.run(
        [sys.executable, "-c", "import sys, bench.score; sys.exit('torch' in sys.modules)"],
        check=True,
    )
