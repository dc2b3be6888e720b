"""Our metrics behave as torchmetrics' do."""

import pickle
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL.Image import Image

torchmetrics = pytest.importorskip("torchmetrics")

from bench.metrics.clip_i import ClipI  # noqa: E402
from bench.metrics.clip_t import ClipScore, ClipT  # noqa: E402
from bench.metrics.encoders import NetworkEncoder  # noqa: E402
from bench.metrics.similarity import Similarity, embed  # noqa: E402
from bench.metrics.torch_metrics import as_torchmetric  # noqa: E402
from tests.networks import picture  # noqa: E402

IMAGES = [picture((40, 32), seed) for seed in range(5)]
REFERENCES = [picture((50, 50), seed) for seed in range(10, 13)]
TEXTS = ["a dog", "a cat", "a mug", "a boot", "a bowl"]


class Gap:
    """A metric of two sets: the squared distance between their means."""

    name, kind, higher_is_better = "gap", "set", False

    def __init__(self, encoder: NetworkEncoder | None = None) -> None:
        self._encoder = encoder

    def score(self, generated: NDArray[np.float32], real: NDArray[np.float32]) -> float:
        difference = generated.astype(float).mean(axis=0) - real.astype(float).mean(axis=0)
        return float(difference @ difference)


class Spread:
    """A metric of pairs: how far widths lie from one another."""

    name, kind, higher_is_better = "spread", "pair", True

    def __init__(self, others: str) -> None:
        self.others = others

    def __call__(
        self, images: Sequence[Image], references: Sequence[Image] = ()
    ) -> NDArray[np.float64]:
        widths = np.array([image.width for image in references or images])
        return np.array([np.abs(image.width - widths).mean() for image in images])


def tensor(images: Sequence[Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)


def test_the_mean_over_updates_is_that_of_all_images_at_once(clip: NetworkEncoder) -> None:
    metric = as_torchmetric(ClipI(clip))
    metric.update(IMAGES[:2], references=REFERENCES)
    metric.update(IMAGES[2:], references=REFERENCES)
    expected = ClipI(clip)(IMAGES, REFERENCES).mean()
    assert metric.compute().item() == pytest.approx(expected, abs=1e-6)
    assert metric.compute().dtype == torch.float64 and metric.compute().shape == ()


def test_texts_are_one_per_image(clip: NetworkEncoder) -> None:
    metric = as_torchmetric(ClipScore(clip))
    metric.update(IMAGES, texts=TEXTS)
    assert metric.compute().item() == pytest.approx(ClipScore(clip)(IMAGES, TEXTS).mean())


def test_a_reset_forgets_and_a_call_gives_the_batchs_own_value(clip: NetworkEncoder) -> None:
    metric = as_torchmetric(ClipI(clip))
    metric.update(IMAGES[:1], references=REFERENCES)
    metric.reset()
    value = metric(IMAGES[1:3], references=REFERENCES)
    metric.update(IMAGES[3:], references=REFERENCES)
    expected = ClipI(clip)(IMAGES, REFERENCES)
    assert value.item() == pytest.approx(expected[1:3].mean(), abs=1e-6)
    assert metric.compute().item() == pytest.approx(expected[1:].mean(), abs=1e-6)


def test_tensors_are_the_images_that_they_hold(clip: NetworkEncoder) -> None:
    one, other = as_torchmetric(ClipI(clip)), as_torchmetric(ClipI(clip))
    one.update(IMAGES, references=REFERENCES)
    other.update(tensor(IMAGES), references=tensor(REFERENCES))
    assert one.compute() == other.compute()


@pytest.mark.parametrize("images", [tensor(IMAGES) / 255, tensor(IMAGES)[0], tensor(IMAGES)[:, :1]])
def test_tensors_of_another_kind_are_refused(clip: NetworkEncoder, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="uint8"):
        as_torchmetric(ClipI(clip)).update(images, references=REFERENCES)


def test_a_collection_shares_one_call(clip: NetworkEncoder) -> None:
    ours = {"clip_i": ClipI(clip), "clip_t": ClipT(clip), "clip_score": ClipScore(clip)}
    metrics = torchmetrics.MetricCollection({name: as_torchmetric(m) for name, m in ours.items()})
    for part in (slice(0, 2), slice(2, 5)):
        metrics.update(IMAGES[part], references=REFERENCES, texts=TEXTS[part])
    found = {name: value.item() for name, value in metrics.compute().items()}
    expected = {
        "clip_i": ours["clip_i"](IMAGES, REFERENCES).mean(),
        "clip_t": ClipT(clip)(IMAGES, TEXTS).mean(),
        "clip_score": ClipScore(clip)(IMAGES, TEXTS).mean(),
    }
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_metric_of_sets_takes_images_of_both_sets_in_any_order(
    clip: NetworkEncoder,
) -> None:
    metric = as_torchmetric(Gap(clip))
    metric.update(REFERENCES[:1], real=True)
    metric.update(IMAGES, real=False)
    metric.update(REFERENCES[1:], real=True)
    expected = Gap().score(embed(clip, IMAGES), embed(clip, REFERENCES))
    assert metric.compute().item() == pytest.approx(expected, abs=1e-6)


def test_metrics_of_pairs_compare_with_references_or_among_the_images_of_an_update() -> None:
    pictures = [picture((width, 8)) for width in (10, 20, 40)]
    against, among = as_torchmetric(Spread("references")), as_torchmetric(Spread("siblings"))
    against.update(pictures, references=pictures[:1])
    among.update(pictures)
    assert (against.compute(), among.compute()) == (40 / 3, 120 / 9)


def test_states_of_several_processes_are_put_together(clip: NetworkEncoder) -> None:
    metric = as_torchmetric(ClipI(clip))
    metric.update(IMAGES, references=REFERENCES)
    metric.distributed_available_fn = lambda: True
    metric.dist_sync_fn = lambda state, group: [state, state[:1] + 6]
    values = ClipI(clip)(IMAGES, REFERENCES)
    assert metric.compute().item() == pytest.approx((values.sum() + values[0] + 6) / 6, abs=1e-6)


@pytest.mark.parametrize("metric", [ClipI(), ClipT(), Gap(), Spread("siblings")])
def test_the_direction_is_ours_and_it_survives_pickling(metric: Similarity) -> None:
    shaped = pickle.loads(pickle.dumps(as_torchmetric(metric)))
    assert shaped.higher_is_better is metric.higher_is_better
    assert shaped.is_differentiable is False


def test_nothing_is_computed_before_the_first_update(clip: NetworkEncoder) -> None:
    with pytest.warns(UserWarning, match="before"), pytest.raises(ValueError, match="No samples"):
        as_torchmetric(ClipI(clip)).compute()
