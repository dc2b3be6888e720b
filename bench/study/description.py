"""What a study's server answers, as an OpenAPI 3.1 document.

It is not served: a rater's link is the only key, and nobody else needs to know what there is.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bench import __version__
from bench.study.asked import Choice
from bench.study.database import Settings

OPAQUE = r"^[A-Za-z0-9_-]{22}$"
"""Ids as ``bench.study.database.opaque`` makes them."""
Id = Annotated[str, Field(pattern=OPAQUE)]
Document = dict[str, Any]
ID: Document = {"type": "string", "pattern": OPAQUE}
PROBLEMS = {
    404: "Nothing of the kind belongs to this rater.",
    409: "The trial was answered otherwise before; the first answer stands.",
    413: "The body is longer than any answer.",
    422: "The body is no answer to what the study asks.",
}


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(_Told):
    """Why something was refused."""

    problem: str


class Question(_Told):
    """What raters are asked of a pair."""

    name: str
    title: str
    instruction: str
    sentence: str


class _View(_Told):
    of: int = Field(ge=0)
    forced: bool
    questions: list[Question]


class Consent(_View):
    """What a rater agrees to first."""

    state: Literal["consent"]
    consent: list[str]


class Trial(_View):
    """The next pair, by ids of images."""

    state: Literal["trial"]
    number: int = Field(ge=1)
    trial: Id
    prompt: str
    references: list[Id]
    source: Id | None
    left: Id
    right: Id


class Done(_View):
    """That there is no more."""

    state: Literal["done"]


View = Annotated[Consent | Trial | Done, Field(discriminator="state")]


def openapi(settings: Settings) -> Document:
    """The document of one study: which answers are taken depends on what it asks."""
    at = "/r/{token}/"
    return {
        "openapi": "3.1.0",
        "info": {"title": "A study of subjectbench", "version": __version__},
        "paths": {
            "/app.js": {"get": _operation("The page's script.", "text/javascript", [])},
            "/style.css": {"get": _operation("The page's style.", "text/css", [])},
            at: _of_rater(get=_operation("The page.", "text/html", [404])),
            at + "next": _of_rater(get=_operation("What comes next.", _view(), [404])),
            at + "image/{image}": _of_rater(
                "image", get=_operation("An image to be seen.", "image/png", [404])
            ),
            at + "consent": _of_rater(post=_operation("The rater agrees.", _view(), [404])),
            at + "answer": _of_rater(post=_answering(settings)),
        },
    }


def answer_schema(settings: Settings) -> Document:
    """An answer to every question of the study."""
    allowed = [side for side in get_args(Choice) if side != "equal" or not settings.forced]
    choices = {name: {"enum": allowed} for name in settings.questions}
    return _closed({"trial": ID, "choices": _closed(choices)})


def _closed(properties: Document) -> Document:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _answering(settings: Settings) -> Document:
    operation = _operation("An answer; again, it changes nothing.", _view(), [404, 409, 413, 422])
    body = {"application/json": {"schema": answer_schema(settings)}}
    return {**operation, "requestBody": {"required": True, "content": body}}


def _view() -> Document:
    return {"application/json": {"schema": TypeAdapter(View).json_schema()}}


def _of_rater(*ids: str, **operations: Document) -> Document:
    """Operations below a rater's own link."""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": ID} for name in ("token", *ids)
    ]
    return {"parameters": parameters, **operations}


def _operation(summary: str, content: str | Document, problems: list[int]) -> Document:
    told = {content: {}} if isinstance(content, str) else content
    problem = {"application/json": {"schema": Problem.model_json_schema()}}
    return {
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": told},
            **{
                str(status): {"description": PROBLEMS[status], "content": problem}
                for status in problems
            },
        },
    }
