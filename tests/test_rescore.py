"""The same images under every protocol of a suite."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bench.api import Case
from bench.brought import score_images
from bench.metrics.encoders import NetworkEncoder
from bench.plan import make_cases
from bench.protocols import MetricSpec, Protocol, load_protocol
from bench.rescore import Outcome, as_json, look, rescore, spread, table
from bench.results import read_measured
from bench.suites import Suite, load_suite


@pytest.fixture(scope="module")
def suite() -> Suite:
    """Two subjects of mini, one of which has a descriptive name that is not its class noun."""
    whole = load_suite("mini")
    mug, car = whole.subjects[:2]
    named = mug.model_copy(update={"descriptive_name": "bird"})
    return whole.model_copy(update={"subjects": (named, car)})


@pytest.fixture(scope="module")
def headline() -> Protocol:
    return load_protocol(load_suite("mini"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered from one test to the next, and the user's weights are out of sight."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def other(protocol: Protocol, name: str, **changed: Any) -> Protocol:
    return protocol.model_copy(update={"name": name, **changed})


def draw(
    folder: Path,
    suite: Suite,
    protocol: Protocol,
    seeds: Sequence[int],
    name: Callable[[Case], str] = lambda case: case.file,
) -> Path:
    """Noise in answer to every prompt, ``len(seeds)`` times."""
    rng = np.random.default_rng(0)
    for case in make_cases(suite, protocol, suite.subjects, len(seeds)):
        path = folder / name(replace(case, seed=seeds[case.seed]))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(path)
    return folder


def scored(suite: Suite, protocols: list[Protocol], source: Path, **more: Any) -> list[Outcome]:
    report = look(suite, protocols, source)
    return rescore(suite, [(one, one) for one in protocols], report, "noise", **more)


def test_every_protocol_comes_out_as_if_it_had_been_scored_alone(
    suite: Suite, headline: Protocol, tmp_path: Path
) -> None:
    source = draw(tmp_path / "images", suite, headline, [0])
    dino = headline.metrics[0].model_copy(update={"references": "input"})
    protocols = [
        headline,
        other(headline, "one-photograph", metrics=(dino,)),
        other(headline, "by-name", name_in_prompt="descriptive_name"),
        other(headline, "braces", scored_text="template"),
    ]
    outcomes = scored(suite, protocols, source, out=tmp_path / "out")
    for protocol, outcome in zip(protocols, outcomes, strict=True):
        assert outcome.scored is not None, outcome.reason
        folder, result = outcome.scored
        assert folder == tmp_path / "out" / protocol.key
        drawn = look(suite, [protocol], source).images
        alone = score_images(suite, protocol, protocol, drawn, "noise", False, tmp_path / "alone")
        assert result.identity == alone[1].identity
        assert read_measured(folder).rows == read_measured(alone[0]).rows
        for file in (tmp_path / "alone").iterdir():
            file.unlink()


def test_metrics_of_text_read_each_protocols_own_text(
    suite: Suite, headline: Protocol, tmp_path: Path
) -> None:
    source = draw(tmp_path / "images", suite, headline, [0])
    by_name = other(headline, "by-name", name_in_prompt="descriptive_name")
    told = [one.scored for one in scored(suite, [headline, by_name], source)]
    (mug, car) = (subject.directory for subject in suite.subjects)
    first, second = (read_measured(one[0]).values("clip_t") for one in told if one)
    assert all(first[car, index, 0] == second[car, index, 0] for index in range(6))
    assert all(first[mug, index, 0] != second[mug, index, 0] for index in range(6))


def test_no_image_is_shown_twice_to_one_encoder(
    suite: Suite, headline: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, int] = {}
    encode = NetworkEncoder.encode_images

    def counted(self: NetworkEncoder, prepared: Any) -> Any:
        shown[self.name] = shown.get(self.name, 0) + len(prepared)
        return encode(self, prepared)

    monkeypatch.setattr(NetworkEncoder, "encode_images", counted)
    source = draw(tmp_path / "images", suite, headline, [0])
    scored(suite, [headline, other(headline, "again"), other(headline, "and-again")], source)
    photographs = sum(len(subject.references) for subject in suite.subjects)
    assert shown == {"mini-dino": 12 + photographs, "mini-clip": 12 + photographs}


def test_what_asks_for_more_images_than_there_are_is_listed_with_the_reason(
    suite: Suite, headline: Protocol, tmp_path: Path
) -> None:
    source = draw(tmp_path / "images", suite, headline, [0, 1])
    protocols = [headline, other(headline, "two", seeds=2), other(headline, "eight", seeds=8)]
    one, two, eight = scored(suite, protocols, source)
    assert one.scored and one.scored[1].metrics["dino"].n == 12
    assert two.scored and two.scored[1].metrics["dino"].n == 24
    assert not one.scored[1].limited and not two.scored[1].limited
    assert eight.reason == "it asks for 8 images of every prompt, and there are 2."
    *_, partly = scored(suite, protocols, source, allow_partial=True, out=tmp_path / "part")
    assert partly.scored and partly.scored[1].limited
    assert partly.scored[1].metrics["dino"].n == 24


def test_seeds_with_other_numbers_count_alike_under_every_protocol(
    suite: Suite, headline: Protocol, tmp_path: Path
) -> None:
    source = draw(tmp_path / "images", suite, headline, [42, 43])
    protocols = [headline, other(headline, "two", seeds=2), other(headline, "eight", seeds=8)]
    one, two, _ = scored(suite, protocols, source)
    assert one.scored and two.scored
    first, both = (read_measured(told[0]).values("dino") for told in (one.scored, two.scored))
    assert first == {place: value for place, value in both.items() if place[2] == 0}


def test_files_named_after_one_protocols_prompts_are_scored_under_all(
    suite: Suite, headline: Protocol, tmp_path: Path
) -> None:
    by_name = other(headline, "by-name", name_in_prompt="descriptive_name")
    source = draw(
        tmp_path / "images",
        suite,
        by_name,
        [0],
        lambda case: f"{case.subject}/{case.prompt}-0.png",
    )
    outcomes = scored(suite, [headline, by_name], source)
    numbers = [one.scored[1].metrics["dino"] for one in outcomes if one.scored]
    assert [number.n for number in numbers] == [12, 12]
    assert numbers[0].mean == numbers[1].mean


def test_a_missing_image_is_a_reason_unless_the_rest_is_asked_for(
    suite: Suite, headline: Protocol, tmp_path: Path
) -> None:
    source = draw(tmp_path / "images", suite, headline, [0])
    (source / suite.subjects[0].directory / "03-0.png").unlink()
    (only,) = scored(suite, [headline], source)
    assert only.reason.startswith("of the 12 images it asks for, 1 are missing")
    (partly,) = scored(suite, [headline], source, allow_partial=True)
    assert partly.scored and partly.scored[1].limited


def test_weights_that_are_not_here_are_the_reason_and_hinder_nobody_else(
    suite: Suite, headline: Protocol, tmp_path: Path
) -> None:
    source = draw(tmp_path / "images", suite, headline, [0])
    inception = MetricSpec(metric="fid", encoder="inception-2015-tf")
    needy = other(headline, "needy", metrics=(*headline.metrics, inception))
    first, second = scored(suite, [needy, headline], source)
    assert "bench weights fetch inception-2015" in first.reason and first.scored is None
    assert second.scored


def test_the_spread_is_of_shared_metrics_and_never_mixes_toys_with_others(
    suite: Suite, headline: Protocol, tmp_path: Path
) -> None:
    source = draw(tmp_path / "images", suite, headline, [0])
    narrow = other(
        headline,
        "narrow",
        metrics=(headline.metrics[0].model_copy(update={"references": "input"}),),
    )
    outcomes = scored(suite, [headline, narrow], source)
    means = [one.scored[1].metrics["dino"].mean for one in outcomes if one.scored]
    assert spread(outcomes) == {"dino": pytest.approx(abs(means[0] - means[1]))}
    assert means[0] != means[1]
    folder, result = outcomes[1].scored or pytest.fail(outcomes[1].reason)
    real = Outcome(narrow, (folder, result.model_copy(update={"mini_weights": False})))
    assert spread([outcomes[0], real]) == {}


def test_the_table_has_protocols_as_rows_and_metrics_as_columns(
    suite: Suite, headline: Protocol, tmp_path: Path
) -> None:
    source = draw(tmp_path / "images", suite, headline, [0])
    dino = other(headline, "dino-alone", metrics=headline.metrics[:1])
    outcomes = scored(suite, [headline, dino, other(headline, "eight", seeds=8)], source)
    console = Console(record=True, width=120, file=(tmp_path / "table").open("w"))
    console.print(table(outcomes))
    lines = console.export_text().splitlines()
    number = f"{outcomes[0].scored[1].metrics['dino'].mean:.4f}" if outcomes[0].scored else ""
    (header,) = (line.split("┃")[1:-1] for line in lines if "protocol" in line)
    assert [cell.strip() for cell in header] == ["protocol", "images", "dino", "clip_i", "clip_t"]
    (row,) = (line.split("│")[1:-1] for line in lines if "dino-alone" in line)
    assert [cell.strip() for cell in row] == [
        *("dino-alone@1 (mini weights)", "12", number, "-", "-")
    ]
    assert not any("eight@1" in line for line in lines)


def test_the_document_says_what_was_done_and_gives_a_reason_for_what_was_not(
    suite: Suite, headline: Protocol, tmp_path: Path
) -> None:
    source = draw(tmp_path / "images", suite, headline, [0])
    document = as_json(scored(suite, [headline, other(headline, "eight", seeds=8)], source))
    assert "same images" in document["note"]
    assert document["protocols"]["headline@1"]["metrics"]["dino"]["n"] == 12
    assert set(document["protocols"]["eight@1"]) == {"reason"}
