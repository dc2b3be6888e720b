"""The web pages of a study. What a rater can reach lies below their own link, and nothing else."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bench.api import Frozen
from bench.study import raters
from bench.study.asked import Choice
from bench.study.database import opened
from bench.study.description import Id

WEB = Path(__file__).parent / "web"
BODY_LIMIT = 4096
"""Bytes of an answer."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    # A link is a key: no other site may learn it, and no cache may keep what lies behind it.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Robots-Tag": "noindex",
}
T = TypeVar("T")


class Given(Frozen):
    """The body of an answer."""

    trial: Id
    choices: dict[str, Choice]


class Pages:
    """Answers requests about one study; each has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def page(self, request: Request) -> Response:
        self._view(_token(request))
        return FileResponse(WEB / "page.html")

    def next(self, request: Request) -> Response:
        return JSONResponse(self._view(_token(request)))

    def image(self, request: Request) -> Response:
        png = self._told(raters.image_for, _token(request), request.path_params["image"])
        return Response(png, media_type="image/png")

    def consent(self, request: Request) -> Response:
        self._told(raters.consent, _token(request))
        return JSONResponse(self._view(_token(request)))

    async def answer(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_LIMIT:
                return _problem(413, "An answer is shorter.")
        return await run_in_threadpool(self._answer, _token(request), body)

    def _answer(self, token: str, body: bytes) -> Response:
        given = Given.model_validate_json(body)
        self._told(raters.answer, token, given.trial, given.choices)
        return JSONResponse(self._view(token))

    def _view(self, token: str) -> dict[str, Any]:
        return self._told(raters.view, token)

    def _told(self, ask: Callable[..., T], *arguments: object) -> T:
        with opened(self._path) as connection:
            return ask(connection, *arguments)


def make_app(path: Path) -> Starlette:
    """The pages of the study in a file."""
    pages = Pages(path)
    at = "/r/{token}/"
    return Starlette(
        routes=[
            Route("/app.js", partial(_file, "app.js")),
            Route("/style.css", partial(_file, "style.css")),
            Route(at, pages.page),
            Route(at + "next", pages.next),
            Route(at + "image/{image}", pages.image),
            Route(at + "consent", pages.consent, methods=["POST"]),
            Route(at + "answer", pages.answer, methods=["POST"]),
        ],
        middleware=[Middleware(Guarded)],
        exception_handlers={
            raters.Unknown: _handler(404, "There is nothing here."),
            raters.Conflict: _handler(409, "This was answered before."),
            raters.NotAsked: _handler(422, "This is no answer to what was asked."),
            ValidationError: _handler(422, "This is no answer to what was asked."),
            HTTPException: _nowhere,
        },
    )


class Guarded:
    """Sends every answer with the headers that keep it to its rater."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = [(name.lower().encode(), text.encode()) for name, text in HEADERS.items()]
                message["headers"] = [*message["headers"], *told]
            await send(message)

        await self._app(scope, receive, guarded)


def _file(name: str, request: Request) -> Response:
    return FileResponse(WEB / name)


def _token(request: Request) -> str:
    return str(request.path_params["token"])


def _handler(status: int, words: str) -> Callable[[Request, Exception], Response]:
    return lambda request, error: _problem(status, words)


def _nowhere(request: Request, error: Exception) -> Response:
    """No such page, or not by this method, told as all problems are."""
    assert isinstance(error, HTTPException)
    answer = _problem(error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    return answer


def _problem(status: int, words: str) -> Response:
    return JSONResponse({"problem": words}, status)
