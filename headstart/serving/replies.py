"""Answers as JSON values, and what they are in the description of the server (OpenAPI)."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from headstart.answers import Prediction
from headstart.serving.models import Version

DEFAULT_TOP, MOST_TOP = 5, 1000


class ErrorReply(BaseModel):
    """Why there is no answer."""

    error: str


class ClassReply(BaseModel):
    """A class and its probability."""

    label: str
    probability: float = Field(ge=0, le=1)


class PredictionReply(BaseModel):
    """The answer for one image."""

    label: str = Field(description="The most probable class.")
    probability: float = Field(ge=0, le=1)
    top: list[ClassReply] = Field(description="The most probable classes, the first first.")
    candidates: list[str] | None = Field(
        description="The classes that it may be; null where the classifier has no sets."
    )
    unknown: bool = Field(description="Whether the image is unlike all training images.")
    model: str
    version: str
    request_id: str


class ItemReply(BaseModel):
    """The answer for one of several images, or `error`: why it cannot be read."""

    name: str = Field(description="The name of the file, as it was sent.")
    label: str | None = None
    probability: float | None = Field(default=None, ge=0, le=1)
    top: list[ClassReply] | None = None
    candidates: list[str] | None = None
    unknown: bool | None = None
    error: str | None = None


class SeveralReply(BaseModel):
    """The answers for the images of a form, in their order."""

    predictions: list[ItemReply]
    model: str
    version: str
    request_id: str


class HealthReply(BaseModel):
    """Whether the server answers: `ok` or `stopping`; and the version of each model."""

    status: str
    models: dict[str, str]


class ModelReply(BaseModel):
    """One model."""

    name: str
    version: str
    classes: list[str]
    image_size: list[int] = Field(description="Height and width at which it sees an image.")
    backbone: str


class ModelsReply(BaseModel):
    """All models, the default first."""

    models: list[ModelReply]


def as_json(values: Any, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(json.dumps(values, allow_nan=False), status, media_type="application/json")


def prediction_values(found: Prediction, top: int) -> dict[str, Any]:
    """The answer for one image as JSON values."""
    candidates = found.candidates
    return {
        "label": found.label,
        "probability": found.probability,
        "top": [{"label": label, "probability": value} for label, value in found.top(top)],
        "candidates": None if candidates is None else list(candidates),
        "unknown": found.unknown,
    }


def model_values(version: Version) -> dict[str, Any]:
    """One model as JSON values."""
    classifier = version.classifier
    return {
        "name": version.name,
        "version": version.version,
        "classes": list(classifier.class_names),
        "image_size": list(classifier.image_size),
        "backbone": classifier.prefix.identity.backbone,
    }
