"""What is measured by hand runs as it stands; its figures are no matter of tests."""

import re
import sys

import numpy as np
import pytest
import torch

from tests.benchmarks import coverage, dreambooth, flux, guidance, sets, subjects, training


def printed(
    module: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *flags: str
) -> str:
    monkeypatch.setattr(sys, "argv", ["benchmark", *flags])
    module.main()  # type: ignore[attr-defined]
    return capsys.readouterr().out


def test_flux_is_measured_beside_ominicontrols_structure_with_equal_images(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    told = printed(flux, capsys, monkeypatch, "--tiny")
    assert len(re.findall(r"[\d.]+ images/min", told)) == 3
    assert len(re.findall(r"[\d.]+ steps/min", told)) == 3
    [difference] = re.findall(r"largest difference +(\S+)", told)
    assert float(difference) < 1e-4


def test_flux_is_not_measured_without_an_accelerator(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert printed(flux, capsys, monkeypatch).startswith("not measured")


def test_a_training_step_is_measured_beside_its_bare_passes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = printed(training, capsys, monkeypatch, "--steps", "2")
    [ratio] = re.findall(r"ratio of medians +(\S+)", told)
    assert float(ratio) > 0.3


def test_personalization_guidance_is_measured_beside_cfg(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = printed(guidance, capsys, monkeypatch, "--tiny")
    assert len(re.findall(r"^pg to cfg +time [\d.]+", told, re.M)) == 2


def test_a_step_of_dreambooth_is_measured_beside_its_bare_passes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = printed(dreambooth, capsys, monkeypatch, "--tiny")
    ratios = re.findall(r"ratio of medians +(\S+)", told)
    assert len(ratios) == 2 and all(float(ratio) > 0.3 for ratio in ratios)


def test_setting_up_subjects_is_measured_as_a_share_of_their_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = printed(subjects, capsys, monkeypatch, "--tiny")
    [share] = re.findall(r"share of setting up +([\d.]+)%", told)
    assert 0 < float(share) < 100


def test_coverage_is_told_for_every_way_of_drawing_in_worlds_with_a_known_truth(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = printed(coverage, capsys, monkeypatch, "--tiny")
    for way in ("images", "subjects", "both"):
        shares = re.findall(
            rf"over {way} +these prompts ([\d.]+) ± [\d.]+, any prompts ([\d.]+)", told
        )
        assert len(shares) == len(coverage.WORLDS)
        assert all(0 <= float(part) <= 100 for pair in shares for part in pair)


def test_a_world_without_differences_between_prompts_has_one_truth() -> None:
    world = coverage.World("subjects alone", subject=1.0, prompt=0.0, both=0.0, image=0.1)
    design = coverage.Design.of("mini@1", 1)
    found = coverage.draw(world, design, np.random.default_rng(0))
    widths = {way: np.ptp(getattr(found, way)) for way in ("images", "subjects", "both")}
    assert found.these_prompts == 0
    assert widths["subjects"] == pytest.approx(np.sqrt(6) * widths["images"], rel=0.1)
    assert widths["both"] == pytest.approx(widths["subjects"], rel=0.1)


def test_coverage_of_differences_of_sets_is_told_for_both_truths_and_every_way_of_drawing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = printed(sets, capsys, monkeypatch, "--tiny")
    found = re.findall(r"^    (\S.*?) +so many ([\d.]+) ± [\d.]+, all ([\d.]+)", told, re.M)
    assert len(found) == 2 * len(sets.METRICS) * 5
    assert {way for way, *_ in found} == {
        "jackknife",
        "bootstrap, percentile",
        "bootstrap, t",
        "halves, percentile",
        "halves, t",
    }
    assert all(0 <= float(part) <= 100 for _, *shares in found for part in shares)


def test_methods_that_are_alike_differ_in_truth_by_nothing() -> None:
    world = sets.World("alike", sets.GOOD, sets.GOOD, subjects=5, width=3)
    here, everywhere = sets.truths(world, sets.METRICS[0], asked=300, many=4000)
    unequal = sets.truths(sets.World("not", sets.GOOD, sets.POOR, 5, 3), sets.METRICS[0], 300, 4000)
    assert abs(here) < 0.2 * abs(unequal[0]) and abs(everywhere) < 0.1 * abs(unequal[1])
