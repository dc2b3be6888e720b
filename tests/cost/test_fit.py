"""A run that cannot fit is refused before it starts; one that may not is said to."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.cost.devices import Device
from bench.cost.dry_run import describe
from bench.cost.fit import demand_all_fit, demand_fit, disks, memories
from bench.cost.forecast import forecast
from bench.errors import UserError
from bench.plan import Plan, Request, make_plan
from tests.cost.dry_runs import at_home, contents, plan_of

LARGE = Device("H100", 80e9)


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path) -> Iterator[Path]:
    with at_home(tmp_path):
        yield tmp_path


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    """The one accelerator that is here; it may be taken away, or changed."""
    here = [LARGE]
    monkeypatch.setattr("bench.cost.forecast.device_at_hand", lambda: here[0])
    return here


def free(count: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with so many bytes left."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=count))


def flux(**options: str) -> Plan:
    return make_plan(
        Request(method="sfo", suite="dreambench", backbone="flux-dev", options=options)
    )


@pytest.mark.usefixtures("device")
def test_what_fits_is_let_through_and_nothing_is_touched(fresh: Path) -> None:
    assert demand_fit(plan_of("dreambooth")) is None
    assert demand_fit(plan_of("dreambooth"), fresh / "new" / "folder") is None
    assert contents(fresh) == {}


@pytest.mark.usefixtures("device")
def test_a_disk_that_is_too_small_refuses_with_what_is_needed_and_what_to_do(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(3e9, monkeypatch)
    with pytest.raises(UserError) as refused:
        demand_fit(flux(), fresh / "out")
    assert str(refused.value) == (
        f"What is left to do needs about 5.3 GB on the disk of {fresh}/home/cache and "
        f"{fresh}/out, and 3 GB are free: free some space, or choose other folders with --out "
        "and $SUBJECTBENCH_CACHE."
    )
    assert contents(fresh) == {}


@pytest.mark.usefixtures("device")
def test_several_runs_must_fit_together(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(8e9, monkeypatch)
    plans = [flux(beta=beta) for beta in ("1", "2")]
    for plan in plans:
        assert demand_fit(plan) is None
    with pytest.raises(UserError, match=r"needs about 8\.03 GB"):
        demand_all_fit([(plan, None) for plan in plans])


@pytest.mark.usefixtures("device")
def test_a_run_at_an_address_takes_no_disk_here() -> None:
    [disk] = disks([forecast(flux(), "s3://bucket/run")])
    assert [folder.name for folder in disk.folders] == ["cache"]


def test_weights_that_exceed_a_device_are_refused(device: list[Device]) -> None:
    device[0] = Device("NVIDIA L4", 24e9)
    with pytest.raises(UserError) as refused:
        demand_fit(flux())
    assert str(refused.value) == (
        "The backbone's weights alone take about 33.7 GB, and NVIDIA L4 has 24 GB of memory: "
        "choose a smaller --backbone, or run it on a larger device."
    )


def test_what_may_exceed_a_device_is_only_said(device: list[Device]) -> None:
    device[0] = Device("NVIDIA L40", 36e9)
    told = demand_fit(flux())
    assert told is not None and told.startswith("This may not fit: it needs about 37.7 GB")
    assert describe(flux())["warnings"] == [told]


def test_a_processor_has_weights_in_full_precision() -> None:
    [small] = memories([forecast(flux(), device=Device("CPU", 1e12, accelerator=False))])
    [large] = memories([forecast(flux(), device=LARGE)])
    assert small.weights == 2 * large.weights


def test_a_run_that_draws_nothing_more_needs_no_device(device: list[Device]) -> None:
    device[0] = Device("NVIDIA L4", 1.0)
    plan = make_plan(Request(method="oracle", suite="mini"))
    assert memories([forecast(plan)]) == []
