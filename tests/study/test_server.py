"""Serving starts and stops as the user expects."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.study.server import serve
from tests.study.studies import ask, served


@pytest.mark.parametrize(
    ("module", "package"), [("uvicorn", "uvicorn"), ("starlette.applications", "starlette")]
)
def test_without_the_packages_it_says_what_to_install(
    study: Path, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    monkeypatch.delitem(sys.modules, "bench.study.app", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"needs the package {package}, .*'subjectbench\[study\]'"):
        serve(study, "127.0.0.1", 0, print)


def test_a_file_that_is_no_study_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make a study with 'bench study new'"):
        serve(tmp_path / "nowhere.db", "127.0.0.1", 0, print)


def test_a_port_that_is_taken_is_named(study: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"No server can listen at 127\.0\.0\.1:{port} \("):
            serve(study, "127.0.0.1", port, print)


def test_an_interrupt_stops_it_without_a_traceback(study: Path) -> None:
    with served(study) as (address, process):
        assert ask(f"{address}/style.css")[0] == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
