"""Serves a study until it is stopped."""

import socket
from collections.abc import Callable
from pathlib import Path

from bench.errors import UserError
from bench.study.database import opened, settings_of


def serve(path: Path, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer raters of the study in a file; ``ready`` is told the address.

    UserError for a file that is no study, an address that cannot be had, and where the packages
    of the extra ``study`` are not installed.
    """
    try:
        import uvicorn

        from bench.study.app import make_app
    except ModuleNotFoundError as error:
        raise UserError(
            f"Serving a study needs the package {(error.name or '').partition('.')[0]}, which is "
            "not installed; run: pip install 'subjectbench[study]'"
        ) from error
    # One connection stays open, so that SQLite does not fold its log into the file at every answer.
    with opened(path) as connection, _listening(host, port) as listening:
        settings_of(connection)
        config = uvicorn.Config(
            make_app(path), access_log=False, log_level="warning", server_header=False
        )
        address, bound = listening.getsockname()[:2]
        ready(f"http://{address}:{bound}")
        uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=256)
    except OSError as error:
        raise UserError(
            f"No server can listen at {host}:{port} ({(error.strerror or str(error)).lower()}); "
            "choose another '--port' or '--host'."
        ) from error
