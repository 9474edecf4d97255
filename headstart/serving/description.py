"""What the routes take and answer, for OpenAPI."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from headstart.serving.replies import (
    DEFAULT_TOP,
    MOST_TOP,
    ErrorReply,
    PredictionReply,
    SeveralReply,
)

Responses = dict[int | str, dict[str, Any]]

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_WHY = {
    400: "The request, or an image in it, cannot be read.",
    401: "The token is missing or wrong.",
    403: "The host or the origin is not allowed.",
    404: "There is no such model or version.",
    408: "The body came too slowly.",
    413: "The body is too large, or has too many images.",
    415: "The body is compressed.",
    429: "Too many images are waiting; Retry-After says when to try again.",
    503: "The server holds too much; Retry-After says when to try again.",
}
_READING = (401, 403)
SENDING = (400, 401, 403, 404, 408, 413, 415, 429, 503)


def errors(*codes: int) -> Responses:
    """The answers that say why there is none."""
    return {
        code: {
            "model": ErrorReply,
            "description": _WHY[code],
            **({"headers": _RETRY} if code in (429, 503) else {}),
        }
        for code in codes
    }


_RETRY = {
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}, "required": False}
}


def told(model: type[BaseModel], stopping: type[BaseModel] | None = None, *codes: int) -> Responses:
    """The answers of a route that is read: `model`, and `stopping` where the server ends."""
    found: Responses = {200: {"model": model}, **errors(*_READING, 503, *codes)}
    if stopping is not None:
        found[503] = {"model": stopping, "description": "The server is stopping."}
    return found


def name_of(text: str, name: str = "name") -> dict[str, Any]:
    """A part of the path."""
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


MODEL = name_of("The model.")
_TOP = {
    "name": "top",
    "in": "query",
    "required": False,
    "description": "How many classes are told.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MOST_TOP, "default": DEFAULT_TOP},
}
_CLASS = {
    "name": "class",
    "in": "query",
    "required": False,
    "description": "The class that the map is of; without it, that of the answer.",
    "schema": {"type": "string"},
}
_KINDS = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
_IMAGE = dict.fromkeys(_KINDS, _BINARY)
_FORM = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["images"],
            "properties": {
                "images": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "string", "format": "binary"},
                }
            },
        }
    }
}
PREDICT: dict[str, Any] = {
    "parameters": [_TOP],
    "requestBody": {"required": True, "content": {**_IMAGE, **_FORM}},
}
PREDICT_NAMED = {**PREDICT, "parameters": [MODEL, _TOP]}
EXPLAIN: dict[str, Any] = {
    "parameters": [_CLASS],
    "requestBody": {"required": True, "content": _IMAGE},
}
EXPLAIN_NAMED = {**EXPLAIN, "parameters": [MODEL, _CLASS]}
PREDICTED: Responses = {
    200: {
        "model": PredictionReply | SeveralReply,
        "description": "Of one image its answer, of a form the answers in their order.",
    },
    **errors(*SENDING),
}
EXPLAINED: Responses = {
    200: {"content": {"image/png": _BINARY}, "description": "The image with the map over it."},
    **errors(*SENDING),
}
METRICS: Responses = {
    200: {
        "content": {"text/plain": {"schema": {"type": "string"}}},
        "description": "Text that Prometheus reads.",
    },
    **errors(*_READING, 503),
}
