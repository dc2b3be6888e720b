"""A server that falls silent in the middle of a download: hung up after a while, asked again."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from bench import download as downloading
from bench.download import TRIES, Unreachable, download

BODY = bytes(range(256)) * 40
PATIENCE = 0.3


@dataclass
class Hanging:
    """Answers ``silent`` times with ``some`` bytes and nothing more, and then as it should."""

    silent: int = 0
    some: int = 1000
    address: str = ""
    asked: list[int] = field(default_factory=list)
    over: Event = field(default_factory=Event)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        self.asked.append(start)
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(BODY) - start))
        request.end_headers()
        if len(self.asked) > self.silent:
            request.wfile.write(BODY[start:])
        else:
            request.wfile.write(BODY[start : start + self.some])
            request.wfile.flush()
            self.over.wait()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloading, "TIMEOUT", PATIENCE)
    server = Hanging()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):
                server.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    server.address = f"http://127.0.0.1:{listening.server_address[1]}/file"
    yield server
    server.over.set()
    listening.shutdown()
    listening.server_close()


def quiet(done: int, total: int) -> None:
    pass


def test_a_download_that_falls_silent_is_gone_on_with(hanging: Hanging, tmp_path: Path) -> None:
    hanging.silent = TRIES - 1
    download(hanging.address, tmp_path / "file", quiet)
    assert (tmp_path / "file").read_bytes() == BODY
    assert hanging.asked == [number * hanging.some for number in range(TRIES)]


def test_a_download_that_stays_silent_is_given_up_and_what_came_is_kept(
    hanging: Hanging, tmp_path: Path
) -> None:
    hanging.silent = TRIES
    began = time.monotonic()
    with pytest.raises(Unreachable, match="timed out"):
        download(hanging.address, tmp_path / "file", quiet)
    assert TRIES * PATIENCE <= time.monotonic() - began < TRIES * PATIENCE + 2
    assert (tmp_path / "file").read_bytes() == BODY[: TRIES * hanging.some]
    download(hanging.address, tmp_path / "file", quiet)
    assert (tmp_path / "file").read_bytes() == BODY
    assert hanging.asked[-1] == TRIES * hanging.some
