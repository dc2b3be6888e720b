"""Devices are known by the names that drivers and kernels give them."""

import stat
from pathlib import Path

import pytest

from bench.cost.devices import PEAKS, Device, device_at_hand, device_named, processor
from bench.errors import UserError


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA L40", 181),
        ("NVIDIA L4", 121),
        ("NVIDIA GeForce RTX 4090", 165),
        ("NVIDIA A10", 125),
    ],
)
def test_devices_are_known_by_name(name: str, tera: float) -> None:
    assert Device(name, 0).peak == tera * 1e12


def test_the_device_is_what_the_driver_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device_at_hand() is None
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'NVIDIA L40, 46068'\n")
    driver.chmod(driver.stat().st_mode | stat.S_IXUSR)
    assert device_at_hand() == Device("NVIDIA L40", 46068 * 2**20)
    driver.write_text("#!/bin/sh\necho 'no devices were found'\n")
    assert device_at_hand() is None


def test_a_processor_is_another_device_with_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one = processor()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    three = processor()
    assert one.name.endswith(", 1 thread") and three.name.endswith(", 3 threads")
    assert not one.accelerator and one.peak is None
    assert one.memory > 1e9


@pytest.mark.parametrize(
    ("name", "gigabytes", "tera"),
    [("H100", 80, 989), ("A100 40GB", 40, 312), ("L4", 24, 121), ("RTX 3090", 24, 71)],
)
def test_a_device_that_is_elsewhere_is_known_by_its_name(
    name: str, gigabytes: float, tera: float
) -> None:
    device = device_named(name)
    assert (device.name, device.memory, device.peak) == (name, gigabytes * 1e9, tera * 1e12)


def test_whatever_has_a_known_speed_has_a_known_memory() -> None:
    for pattern in PEAKS:
        assert device_named(pattern.removesuffix(r"\b")).memory > 1e10


@pytest.mark.parametrize("name", ["Abacus", "Abacus 80GB", ""])
def test_a_device_that_nobody_knows_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(UserError, match=f"Unknown device '{name}'.*H100"):
        device_named(name)
