"""Time FID and KID from features beside the packages people use; run by hand.

``python tests/benchmarks/fid.py`` takes some minutes. Features are random, of the width of
Inception's and all positive, and the same for everybody; every route starts from rows.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from cleanfid.fid import frechet_distance, kernel_distance
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from bench.metrics.fid import Fid
from bench.metrics.kid import Kid

Features = NDArray[np.float32]
Route = Callable[[Features, Features], float]
WIDTH, GROUPS = 2048, 30
COLUMNS = ("n = m", "number", "by", "value", "from ours", "seconds", "times ours")


def features(n: int, seed: int) -> Features:
    """Rows whose directions weaken about a hundredfold, never negative."""
    mix = np.random.default_rng(9).normal(size=(WIDTH, WIDTH))
    mix *= np.exp(-np.arange(WIDTH) / 450)[:, None]
    rows = np.random.default_rng(seed).normal(size=(n, WIDTH)) @ mix / 50 + 0.1 * seed
    return np.maximum(rows, 0).astype(np.float32)


def clean_fid(x: Features, y: Features) -> float:
    """The matrix root of scipy."""
    moments = ((rows.mean(axis=0), np.cov(rows, rowvar=False)) for rows in (x, y))
    return float(frechet_distance(*(moment for pair in moments for moment in pair)))


def torch_fidelity(x: Features, y: Features) -> float:
    """Eigenvalues of the product of the covariances."""
    stats = (fid_features_to_statistics(torch.from_numpy(rows)) for rows in (x, y))
    told: float = fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    return told


def clean_fid_kid(x: Features, y: Features) -> float:
    """One subset, which is the whole set."""
    return float(kernel_distance(x, y, num_subsets=1, max_subset_size=len(x)))


def torch_fidelity_kid(x: Features, y: Features) -> float:
    """One subset, which is the whole set."""
    told: dict[str, float] = kid_features_to_metric(
        *(torch.from_numpy(rows) for rows in (x, y)),
        kid_subsets=1,
        kid_subset_size=len(x),
        verbose=False,
    )
    return told["kernel_inception_distance_mean"]


FIDS: dict[str, Route] = {
    "ours": Fid().score,
    "clean-fid": clean_fid,
    "torch-fidelity": torch_fidelity,
}
KIDS: dict[str, Route] = {
    "ours": Kid().score,
    "clean-fid": clean_fid_kid,
    "torch-fidelity": torch_fidelity_kid,
}


def timed(route: Callable[[], object], repeats: int = 3) -> tuple[object, float]:
    """What it gives, and the seconds of its fastest run; slow ones run once."""
    best, told = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        told = route()
        best = min(best, time.perf_counter() - start)
        if best > 5:
            break
    return told, best


def compared(number: str, routes: dict[str, Route], n: int) -> Iterable[tuple[str, ...]]:
    """One line per route; the first is ours."""
    x, y = features(n, 1), features(n, 2)
    ours: tuple[float, float] | None = None
    for name, route in routes.items():
        told, seconds = timed(partial(route, x, y))
        value = float(str(told))
        ours = ours or (value, seconds)
        yield (
            str(n),
            number,
            name,
            f"{value:.8g}",
            f"{value / ours[0] - 1:+.0e}",
            f"{seconds:.3f}",
            f"{seconds / ours[1]:.1f}",
        )


def without_each(n: int) -> Iterable[tuple[str, ...]]:
    """Every group left out in turn."""
    x, y = features(n, 1), features(n, 2)
    groups = np.array([str(i % GROUPS) for i in range(n)])
    for metric in (Fid(), Kid()):
        _, seconds = timed(partial(metric.leave_out, x, y, groups, groups))
        yield str(n), metric.name, f"ours, {GROUPS} times without a group", "", "", f"{seconds:.2f}"


def main() -> None:
    table = Table(*COLUMNS, title=f"{WIDTH} numbers an image, {torch.get_num_threads()} threads")
    for n in (200, 3000):
        for number, routes in (("fid", FIDS), ("kid", KIDS)):
            for line in compared(number, routes, n):
                table.add_row(*line)
        for line in without_each(n):
            table.add_row(*line)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
