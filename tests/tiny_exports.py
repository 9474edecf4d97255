"""Runs of the backbone `tiny` of each kind, and what they were exported to, made once."""

from __future__ import annotations

import functools
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import RECIPE, trained

import headstart
from headstart.exporting import Export
from headstart.run import Run
from headstart.training import fit

FORMATS = ("keras", "onnx", "openvino", "litert", "saved_model")
TRAINED = {"fine-tuned": "block3", "whole": "all"}


def place() -> Path:
    """Where they lie; it goes with pytest's own cache folder."""
    return Path(os.environ["HEADSTART_CACHE"]) / "exports"


@functools.cache
def run_of(kind: str) -> Run:
    """A run with a head, or with a part that was trained."""
    if kind == "linear":
        return trained().run
    recipe = replace(RECIPE, head="mlp" if kind == "mlp" else "linear")
    if kind in TRAINED:
        tuning = replace(RECIPE.tuning, epochs=1, learning_rate=0.003)
        recipe = replace(recipe, unfreeze=TRAINED[kind], kept_views=1, tuning=tuning)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(trained().cache))
        return fit(trained().photos, recipe, out=place() / f"{kind}.headstart")


def bundle_of(kind: str) -> Path:
    """The bundle of such a run."""
    found = run_of(kind).bundle
    assert found is not None
    return found


@functools.cache
def exported(kind: str, name: str, *, int8: bool = False) -> Export:
    """The bundle of a kind in a format, checked with the images that it was made of."""
    folder = place() / ("int8" if int8 else "float32")
    suffix = {"openvino": "xml", "litert": "tflite"}.get(name, name)
    out, data = folder / f"{kind}.{suffix}", trained().photos
    return headstart.export(bundle_of(kind), name, int8=int8, out=out, data=data)
