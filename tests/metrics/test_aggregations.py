"""What public evaluations make of cosines, as plain formulas, and which of ours equals which.

Every formula sees the same embeddings as our metrics. Ours give a number per image, so a
publication's number is a mean of ours over images or over subjects of their means, times a factor.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.api import ImageMetric, Scored
from bench.metrics.clip_i import ClipI
from bench.metrics.clip_t import ClipScoreBare, ClipT
from bench.metrics.dino import Dino

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Drawn:
    """One subject's embeddings: (N, D) images, (R, D) references, (N, D) texts."""

    images: Rows
    references: Rows
    texts: Rows


def drawn(seed: int, count: int, references: int, likeness: float) -> Drawn:
    """Embeddings around a subject's own direction, nearer to it or to its opposite."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=16)

    def near(rows: int, by: float) -> Rows:
        return (by * own + rng.normal(size=(rows, 16))).astype(np.float32)

    return Drawn(near(count, likeness), near(references, 1), near(count, likeness / 2))


ALIKE = [drawn(0, 6, 4, 0.8), drawn(1, 6, 5, 0.5), drawn(2, 6, 6, 0.1)]
UNLIKE = [drawn(0, 6, 4, -0.8), drawn(1, 6, 5, -0.5), drawn(2, 6, 6, 0.1)]
UNEVEN = [drawn(0, 3, 4, 0.8), drawn(1, 9, 6, 0.2)]
EVERY = [ALIKE, UNLIKE, UNEVEN]


def cosine(one: Rows, other: Rows) -> float:
    a, b = one.astype(float), other.astype(float)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def matrix(images: Rows, others: Rows) -> NDArray[np.float64]:
    return np.array([[cosine(image, other) for other in others] for image in images])


def ours(
    metric: ImageMetric, subjects: list[Drawn], counted: Callable[[Rows], Rows] = np.asarray
) -> list[NDArray[np.float64]]:
    """Every subject's numbers, one per image, from the references that ``counted`` keeps."""
    return [
        np.array(
            [
                metric.score(Scored(image, counted(subject.references), subject.references, text))
                for image, text in zip(subject.images, subject.texts, strict=True)
            ]
        )
        for subject in subjects
    ]


def over_images(numbers: list[NDArray[np.float64]]) -> float:
    return float(np.concatenate(numbers).mean())


def over_subjects(numbers: list[NDArray[np.float64]]) -> float:
    return float(np.mean([one.mean() for one in numbers]))


def fixed(references: Rows) -> Rows:
    """The one reference that a publication compares with."""
    return references[2:3]


@pytest.mark.parametrize("subjects", EVERY)
@pytest.mark.parametrize("metric", [Dino(), ClipI()])
def test_kosmos_g_is_ours_with_one_fixed_reference_times_100_its_mean_clipped_at_zero(
    subjects: list[Drawn], metric: ImageMetric
) -> None:
    pairs = [cosine(image, one.references[2]) for one in subjects for image in one.images]
    kosmos_g = max(100 * float(np.mean(pairs)), 0.0)
    mean = over_images(ours(metric, subjects, fixed))
    assert kosmos_g == pytest.approx(100 * max(mean, 0.0), abs=1e-9)
    assert (mean < 0) == (subjects is UNLIKE), "clipping could not be told from nothing"


def test_kosmos_g_clips_the_mean_and_not_the_images() -> None:
    numbers = np.concatenate(ours(ClipI(), ALIKE, fixed))
    assert numbers.min() < 0 < numbers.mean()
    assert np.clip(numbers, 0, None).mean() > numbers.mean() + 1e-3


@pytest.mark.parametrize("subjects", EVERY)
def test_kosmos_gs_text_score_is_clip_t_times_100_its_mean_clipped_at_zero(
    subjects: list[Drawn],
) -> None:
    pairs = [cosine(*pair) for s in subjects for pair in zip(s.images, s.texts, strict=True)]
    expected = max(100 * float(np.mean(pairs)), 0.0)
    assert expected == pytest.approx(100 * max(over_images(ours(ClipT(), subjects)), 0), abs=1e-9)


@pytest.mark.parametrize("subjects", EVERY)
def test_dreambench_plus_is_ours_with_one_reference_times_100_whatever_the_sign(
    subjects: list[Drawn],
) -> None:
    seen = [100 * cosine(image, one.references[2]) for one in subjects for image in one.images]
    assert np.mean(seen) == pytest.approx(100 * over_images(ours(Dino(), subjects, fixed)))
    read = [100 * cosine(*pair) for s in subjects for pair in zip(s.images, s.texts, strict=True)]
    assert np.mean(read) == pytest.approx(100 * over_images(ours(ClipT(), subjects)))


@pytest.mark.parametrize("subjects", EVERY)
def test_custom_diffusion_is_ours_with_all_references_averaged_over_subjects(
    subjects: list[Drawn],
) -> None:
    expected = np.mean([matrix(one.images, one.references).mean() for one in subjects])
    for metric in (Dino(), ClipI()):
        assert over_subjects(ours(metric, subjects)) == pytest.approx(expected)


@pytest.mark.parametrize("subjects", EVERY)
def test_custom_diffusions_text_score_is_the_bare_clip_score_and_not_a_multiple_of_clip_t(
    subjects: list[Drawn],
) -> None:
    clipped = [
        np.mean([2.5 * max(cosine(*pair), 0.0) for pair in zip(one.images, one.texts, strict=True)])
        for one in subjects
    ]
    assert over_subjects(ours(ClipScoreBare(), subjects)) == pytest.approx(np.mean(clipped))
    assert 2.5 * over_subjects(ours(ClipT(), subjects)) < np.mean(clipped) - 1e-3


@pytest.mark.parametrize("subjects", EVERY)
def test_rpo_is_ours_with_all_references_and_its_text_score_is_clipped_at_zero(
    subjects: list[Drawn],
) -> None:
    seen = [matrix(i[None], one.references).mean() for one in subjects for i in one.images]
    assert over_images(ours(Dino(), subjects)) == pytest.approx(np.mean(seen))
    read = [cosine(*pair) for s in subjects for pair in zip(s.images, s.texts, strict=True)]
    rpo = max(100 * float(np.mean(read)), 0.0) / 100
    assert max(over_images(ours(ClipT(), subjects)), 0.0) == pytest.approx(rpo)


def test_averages_over_images_and_over_subjects_differ_where_subjects_have_unequally_many() -> None:
    even, uneven = (ours(Dino(), subjects) for subjects in (ALIKE, UNEVEN))
    assert over_images(even) == pytest.approx(over_subjects(even))
    assert abs(over_images(uneven) - over_subjects(uneven)) > 1e-2


def test_one_reference_and_all_of_them_are_different_numbers() -> None:
    one, every = (over_images(ours(Dino(), ALIKE, counted)) for counted in (fixed, np.asarray))
    assert abs(one - every) > 1e-3
