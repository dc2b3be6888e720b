"""RPO's reward from embeddings: means over photographs, each image with its own text."""

from pathlib import Path

import numpy as np
import pytest

from bench import registry
from bench.api import Encoder
from bench.methods.rpo_reward import Reward
from tests.networks import picture
from tests.tiny_align import save_align

IMAGES = [picture((48, 48), seed) for seed in range(3)]
PHOTOGRAPHS = [picture((60, 40), seed) for seed in (7, 8)]
TEXTS = ["a mug on grass by day", "a car at sea", "a photo of a bird"]


@pytest.fixture
def align(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """ALIGN as a user's folder holds it, small and random."""
    save_align(tmp_path / "weights" / "align-base")
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    encoder: Encoder = registry.load("encoder", "align-base")()
    return encoder


def cosine(a: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", b: object) -> float:
    left, right = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


@pytest.mark.parametrize(
    ("reader", "looker"), [("mini-clip", "mini-clip"), ("mini-clip", "mini-dino")]
)
def test_a_reward_is_the_formula_on_means_over_photographs(reader: str, looker: str) -> None:
    reads, looks = (registry.load("encoder", name)() for name in (reader, looker))
    rewards = Reward(reads, looks, PHOTOGRAPHS)(IMAGES, TEXTS, 0.3)
    shots = looks.encode_images([looks.prepare(image) for image in PHOTOGRAPHS])
    for image, text, reward in zip(IMAGES, TEXTS, rewards, strict=True):
        [seen] = looks.encode_images([looks.prepare(image)])
        [read] = reads.encode_images([reads.prepare(image)])
        [said] = reads.encode_texts([text])
        s_i = (np.mean([cosine(seen, shot) for shot in shots]) + 1) / 2
        s_t = (cosine(read, said) + 1) / 2
        assert reward == pytest.approx(1 / (0.3 / s_i + 0.7 / s_t), rel=1e-5)


def test_the_share_says_whether_photographs_or_texts_count() -> None:
    clip: Encoder = registry.load("encoder", "mini-clip")()
    reward, other = Reward(clip, clip, PHOTOGRAPHS), Reward(clip, clip, IMAGES)
    swapped = [*TEXTS[1:], TEXTS[0]]
    np.testing.assert_array_equal(reward(IMAGES, TEXTS, 1), reward(IMAGES, swapped, 1))
    np.testing.assert_array_equal(reward(IMAGES, TEXTS, 0), other(IMAGES, TEXTS, 0))
    assert np.abs(reward(IMAGES, TEXTS, 0) - reward(IMAGES, swapped, 0)).max() > 1e-3


def test_align_judges_from_the_users_own_copy(align: Encoder) -> None:
    rewards = Reward(align, align, PHOTOGRAPHS)([*IMAGES, PHOTOGRAPHS[0]], [*TEXTS, "a"], 0.5)
    assert rewards.shape == (4,) and ((rewards > 0) & (rewards < 1)).all()
    alone = Reward(align, align, PHOTOGRAPHS[:1])(PHOTOGRAPHS[:1], ["a"], 1)
    assert alone[0] == pytest.approx(1.0, abs=1e-6)
