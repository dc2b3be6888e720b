"""Downloads go on where they stopped, and say why when they cannot."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.download import Unreachable, download, stream
from tests.server import Server, serving

BODY = bytes(range(256)) * 40


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """One file, and no proxy on the way to it."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({"/file": BODY}) as running:
        yield running


def quiet(done: int, total: int) -> None:
    pass


def test_a_file_comes_whole_and_is_counted(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    download(f"{server.address}/file", tmp_path / "f", lambda *counts: told.append(counts))
    assert (tmp_path / "f").read_bytes() == BODY
    assert told[-1] == (len(BODY), len(BODY))
    assert b"".join(stream(f"{server.address}/file")) == BODY


def test_a_download_that_broke_off_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.breaks_off_after = 1000
    with pytest.raises(Unreachable, match=f"broke off after 1000 of {len(BODY)} bytes"):
        download(f"{server.address}/file", tmp_path / "f", quiet)
    download(f"{server.address}/file", tmp_path / "f", quiet)
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.asked == [("/file", None), ("/file", "bytes=1000-")]


def test_a_server_that_knows_no_parts_is_asked_for_all_again(
    server: Server, tmp_path: Path
) -> None:
    server.in_parts = False
    (tmp_path / "f").write_bytes(b"something else")
    download(f"{server.address}/file", tmp_path / "f", quiet)
    assert (tmp_path / "f").read_bytes() == BODY


def test_what_is_here_whole_is_left_as_it_is(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(BODY)
    download(f"{server.address}/file", tmp_path / "f", quiet)
    assert server.asked == [("/file", f"bytes={len(BODY)}-")]


def test_what_is_longer_than_the_file_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(BODY + b"more")
    download(f"{server.address}/file", tmp_path / "f", quiet)
    assert (tmp_path / "f").read_bytes() == BODY


def test_why_nothing_comes_is_said(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="Not Found"):
        download(f"{server.address}/nothing", tmp_path / "f", quiet)
    with pytest.raises(Unreachable, match="Connection refused"):
        download("http://127.0.0.1:9/file", tmp_path / "f", quiet)
    assert not (tmp_path / "f").exists()
