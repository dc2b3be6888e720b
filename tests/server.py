"""A web server of this machine's own, which answers for parts of files as official places do."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "a" * 40
"""Of every repository that is served as if by the Hugging Face hub."""


def repository(name: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """What the Hugging Face hub's client asks for, by path."""
    listed = [
        {"type": "file", "path": file, "size": len(content), "oid": COMMIT}
        for file, content in files.items()
    ]
    siblings = [{"rfilename": file} for file in files]
    about = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings}
    return {
        f"/api/models/{name}/revision/main": json.dumps(about).encode(),
        f"/api/models/{name}/tree/{COMMIT}": json.dumps(listed).encode(),
        **{f"/{name}/resolve/{COMMIT}/{file}": content for file, content in files.items()},
    }


class Server:
    """Files by path, and what was asked for: (path, Range header)."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, str | None]] = []
        self.breaks_off_after: int | None = None
        """How many bytes of its next answer come before the line goes dead."""
        self.in_parts = True
        """Whether it knows of parts at all."""
        self.gated = ""
        """Below which path only those come in who accepted a licence, as the hub says it."""
        self.address = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        span = request.headers.get("Range")
        self.asked.append((request.path, span))
        body = self.files.get(request.path.partition("?")[0])
        if self.gated and request.path.startswith(self.gated):
            request.send_response(401)
            request.send_header("X-Error-Code", "GatedRepo")
            request.send_header("Content-Length", "0")
            return request.end_headers()
        if body is None:
            return request.send_error(404)
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and self.in_parts else 0
        if start and start >= len(body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(body)}")
            request.send_header("Content-Length", "0")
            return request.end_headers()
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(body) - start))
        request.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        request.send_header("X-Repo-Commit", COMMIT)
        request.end_headers()
        if request.command == "HEAD":
            return None
        stop = None if self.breaks_off_after is None else start + self.breaks_off_after
        self.breaks_off_after = None
        request.wfile.write(body[start:stop])


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """A server of these files while the context lasts."""
    server = Server(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    server.address = f"http://127.0.0.1:{listening.server_address[1]}"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
