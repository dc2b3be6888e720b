"""What was measured on a machine is found again there, and nowhere else."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cost.throughput import FILE, Speed, measured, read, remember

TIMES = {"alone": 0.5, "seeing": 1.0, "training": 1.5, "beside": 2.0}


def speed(**changes: Any) -> Speed:
    told: dict[str, Any] = {
        "kind": "backbone",
        "name": "mini",
        "digest": "d",
        "device": "Abacus",
        "dtype": "float32",
        "date": date(2026, 1, 1),
        "seconds": TIMES,
    }
    return Speed(**{**told, **changes})


def test_the_newest_measurement_of_a_device_and_a_version_is_found(tmp_path: Path) -> None:
    newer = speed(dtype="bfloat16", date=date(2026, 2, 2))
    remember([speed()], tmp_path)
    remember([newer, speed(device="Slide rule"), speed(version="0.0.0")], tmp_path)
    assert measured("backbone", "mini", "Abacus", tmp_path) == newer
    assert measured("backbone", "mini", "Slide rule", tmp_path) == speed(device="Slide rule")
    assert measured("backbone", "mini", "Calculator", tmp_path) is None
    assert measured("encoder", "mini", "Abacus", tmp_path) is None
    assert measured("backbone", "mini", "Abacus", tmp_path, version="9") is None


def test_measuring_again_takes_the_place_of_what_was_measured(tmp_path: Path) -> None:
    again = speed(seconds={**TIMES, "alone": 0.25}, date=date(2026, 3, 3))
    remember([speed()], tmp_path)
    assert remember([again], tmp_path) == tmp_path / FILE
    assert read(tmp_path) == [again]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"measured": [{}]}', '{"measured": 3}'])
def test_a_file_that_is_damaged_says_nothing_and_is_written_anew(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / FILE).write_text(content)
    assert read(tmp_path) == []
    remember([speed()], tmp_path)
    assert read(tmp_path) == [speed()]


def test_a_pass_back_takes_as_much_longer_as_one_forth_does_with_a_reference() -> None:
    assert speed().time(10, 0, 0, seeing=False) == 10 * 0.5
    assert speed().time(10, 10, 0, seeing=False) == 10 * 1.5
    assert speed().time(10, 4, 3, seeing=True) == 10 * 1.0 + 4 * 2.0 + 3 * 2.0


def test_a_backbone_that_sees_no_reference_takes_no_longer_with_one() -> None:
    blind = speed(seconds={"alone": 0.5, "training": 1.5, "beside": 0.0})
    assert blind.time(3, 1, 1, seeing=True) == blind.time(3, 1, 1, seeing=False)


@given(*[st.integers(0, 10**6)] * 4)
def test_more_work_never_takes_less_time(
    forwards: int, backwards: int, images: int, n: int
) -> None:
    least = speed().time(forwards, backwards, images, True)
    assert speed().time(forwards + n, backwards, images, True) >= least
    assert speed().time(forwards, backwards + n, images, True) >= least
    assert speed().time(forwards, backwards, images + n, True) >= least
