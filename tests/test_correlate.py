"""Metrics against people, on the ratings that ship."""

import json
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from bench.commands.correlate import correlate as command
from bench.correlate import Agreement, agreement, correlate, overall
from bench.errors import UserError
from bench.ratings import Key, Rating, read_published, read_ratings, task_of

GENERATION, EDITING = "imagenhub-generation", "imagenhub-editing"


def against(suite: str, metric: str) -> dict[tuple[str, str], Agreement]:
    task = task_of(suite)
    rows = correlate(read_ratings(task), read_published(task)[metric], resamples=20)
    return {(row.method, row.aspect): row for row in rows}


def value(row: Agreement) -> float:
    assert row.spearman is not None
    return row.spearman.value


@pytest.mark.parametrize(
    ("suite", "metric", "n", "rho"),
    [
        (GENERATION, "dino", 600, 0.613),
        (GENERATION, "clip_i", 600, 0.440),
        (EDITING, "dino", 462, 0.379),
        (EDITING, "clip_i", 462, 0.316),
    ],
)
def test_pooled_spearman_is_what_was_found_before(
    suite: str, metric: str, n: int, rho: float
) -> None:
    row = against(suite, metric)["all", "SC"]
    assert row.n == n
    assert value(row) == pytest.approx(rho, abs=5e-4)


def test_within_one_method_dino_follows_people_less_or_more() -> None:
    rows = [row for (m, a), row in against(GENERATION, "dino").items() if a == "SC" and m != "all"]
    rhos = sorted(value(row) for row in rows)
    assert (rhos[0], rhos[-1]) == pytest.approx((0.234, 0.651), abs=5e-4)


def test_people_agree_among_themselves_as_was_found_before() -> None:
    rows = [row for (m, a), row in against(GENERATION, "dino").items() if a == "SC" and m != "all"]
    ceilings = sorted(row.ceiling for row in rows if row.ceiling is not None)
    assert (ceilings[0], ceilings[-1]) == pytest.approx((0.41, 0.77), abs=5e-3)


@pytest.mark.parametrize(
    ("suite", "published"),
    [
        (
            GENERATION,
            {
                "BLIPDiffusion_Gen": (0.29, 0.93, 0.35),
                "DreamBooth": (0.51, 0.93, 0.55),
                "DreamBoothLora": (0.07, 0.82, 0.09),
                "SuTI": (0.64, 0.68, 0.58),
                "TextualInversion": (0.21, 0.74, 0.21),
            },
        ),
        (
            EDITING,
            {
                "BLIPDiffusion_Edit": (0.09, 0.70, 0.09),
                "DreamEdit": (0.31, 0.61, 0.32),
                "PhotoSwap": (0.34, 0.65, 0.36),
            },
        ),
    ],
)
def test_means_are_those_of_imagenhub(
    suite: str, published: dict[str, tuple[float, float, float]]
) -> None:
    means = overall(read_ratings(task_of(suite)))
    assert {m.method: (round(m.sc, 2), round(m.pq, 2), round(m.o, 2)) for m in means} == published


def test_o_is_a_mean_of_roots_and_no_root_of_means() -> None:
    ratings = {("s", "m"): {"1": Rating(1, 0.5), "2": Rating(0, 1)}}
    assert overall(ratings)[0].o == pytest.approx(sqrt(0.5) / 2)


counts = st.integers(0, 3)
images = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), counts), min_size=2, max_size=12)


@given(images)
def test_weights_say_how_often_an_image_is_there(rows: list[tuple[int, int, int]]) -> None:
    human, metric, weights = np.array(rows, dtype=float).T
    a, b = (np.repeat(side, weights.astype(int)) for side in (human, metric))
    with np.errstate(invalid="ignore", divide="ignore"):
        rho, tau, accuracy = agreement(human, metric, weights[None, :])[:, 0]
    if len(set(a)) < 2 or len(set(b)) < 2:
        assert np.isnan(rho) and np.isnan(tau)
        return
    assert rho == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)
    assert tau == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-9)
    assert accuracy == pytest.approx((1 + stats.somersd(a, b).statistic) / 2, abs=1e-9)


def test_pairs_that_people_tie_do_not_count_and_those_of_the_metric_count_half() -> None:
    human, metric = np.array([0.0, 0.0, 1.0]), np.array([0.2, 0.5, 0.5])
    accuracy = agreement(human, metric, np.ones((1, 3)))[2, 0]
    assert accuracy == pytest.approx((1 + 0.5) / 2)


def test_images_of_one_sample_are_drawn_together() -> None:
    """Copies of every image under other names widen nothing and narrow nothing."""
    ratings = read_ratings("Subject-Driven_IG")
    values = read_published("Subject-Driven_IG")["dino"]
    single: dict[Key, float] = {k: v for k, v in values.items() if k[1] == "DreamBooth"}
    doubled = single | {(uid, "copy"): v for (uid, _), v in single.items()}
    rated = ratings | {(uid, "copy"): ratings[uid, m] for uid, m in single}
    alone, together = (correlate(rated, v, resamples=200)[0] for v in (single, doubled))
    assert together.n == 2 * alone.n and together.n_samples == alone.n_samples
    assert alone.spearman and together.spearman and alone.spearman.ci95
    assert together.spearman.ci95 == pytest.approx(alone.spearman.ci95)


def test_the_interval_holds_the_number_and_is_the_same_each_time() -> None:
    first, again = against(GENERATION, "dino"), against(GENERATION, "dino")
    assert first == again
    pooled = first["all", "SC"].spearman
    assert pooled and pooled.ci95 and pooled.ci95[0] < pooled.value < pooled.ci95[1]


def test_where_people_say_one_thing_nothing_is_said_of_the_metric() -> None:
    keys = [(f"s{i}", "m") for i in range(12)]
    ratings = {key: {"1": Rating(0, 1), "2": Rating(0, 1)} for key in keys}
    row = correlate(ratings, {key: float(i) for i, key in enumerate(keys)}, resamples=20)[0]
    assert (row.spearman, row.kendall, row.accuracy, row.ceiling) == (None,) * 4


def test_peoples_own_mean_orders_every_pair() -> None:
    ratings = read_ratings("Subject-Driven_IE")
    values = {key: sum(r.sc for r in given.values()) for key, given in ratings.items()}
    row = correlate(ratings, values, resamples=20)[0]
    assert row.spearman and row.kendall and row.accuracy
    told = (row.spearman.value, row.kendall.value, row.accuracy.value)
    assert told == pytest.approx((1, 1, 1))


def test_too_few_images_are_refused_and_a_method_with_too_few_has_no_row() -> None:
    ratings = read_ratings("Subject-Driven_IG")
    nine: dict[Key, float] = {(f"sample_{i}.jpg", "SuTI"): float(i) for i in range(9)}
    with pytest.raises(UserError, match="Only 9 rated images"):
        correlate(ratings, nine)
    rows = correlate(ratings, nine | {("sample_0.jpg", "DreamBooth"): 1.0}, resamples=20)
    assert [(row.method, row.n) for row in rows] == [("all", 10)] * 2


app = typer.Typer()
app.command()(command)


def test_the_command_prints_one_document() -> None:
    done = CliRunner().invoke(app, ["--suite", EDITING, "--metric", "dino", "--json"])
    document = json.loads(done.stdout)
    pooled = document["metrics"]["dino"][0]
    assert (pooled["method"], pooled["aspect"], pooled["n"]) == ("all", "SC", 462)
    assert pooled["spearman"]["value"] == pytest.approx(0.379, abs=5e-4)
    assert document["people"][0]["method"] == "BLIPDiffusion_Edit"


def test_the_command_refuses_an_unknown_metric_and_two_metrics(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--suite", EDITING, "--metric", "dinno"])
    assert isinstance(done.exception, UserError) and "dino" in str(done.exception)
    both = ["--suite", EDITING, "--metric", "dino", "--scores", str(tmp_path / "x.csv")]
    assert "either" in str(CliRunner().invoke(app, both).exception)


def test_the_command_takes_a_metric_of_ones_own(tmp_path: Path) -> None:
    lines = [f"sample_{i}.jpg,SuTI,{i}" for i in range(20)]
    (tmp_path / "mine.csv").write_text("\n".join(["uid,model,value", *lines]))
    asked = ["--suite", GENERATION, "--scores", str(tmp_path / "mine.csv")]
    document = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert [row["method"] for row in document["metrics"]["mine"]] == ["all"] * 2 + ["SuTI"] * 2
    assert "mine against people" in CliRunner().invoke(app, asked).stdout
