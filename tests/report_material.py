"""Material of a report with everything in it, made by hand: no training is needed to test pages."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from headstart.evaluation import evaluate
from headstart.recipe import Recipe
from headstart.reporting.material import Material

NAMES = ("cat", "dog", "fox")


def address(shade: int = 90) -> str:
    """A tiny image as a data: address."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 120, 60)).save(file, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def evaluation(names: tuple[str, ...] = NAMES, images: int = 300, seed: int = 0) -> dict[str, Any]:
    """Figures of random answers, most of them right, as metrics.json has them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % len(names)
    scores = rng.random((images, len(names)))
    scores[np.arange(images), labels] += 0.6
    found = evaluate(scores / scores.sum(axis=1, keepdims=True), labels, names)
    return found.to_dict()


def full_material(names: tuple[str, ...] = NAMES, images: int = 300) -> Material:
    """Every section has something to show."""
    metrics = {part: evaluation(names, images) for part in ("train", "validation", "test")}
    return Material(_about(names), {**metrics, "trust": _trust(names)}, _extra(names), _checkup())


def _about(names: tuple[str, ...]) -> dict[str, Any]:
    row = {"backbone": "lite", "image_size": 224, "status": "complete", "images": 600}
    row |= {"accuracy": 0.87, "low": 0.84, "high": 0.9, "images_per_second": 80.0}
    other = {**row, "image_size": 320, "status": "dropped", "images_per_second": None}
    epoch = {"train_loss": 0.7, "validation_loss": 0.6, "validation_accuracy": 0.8}
    tried = {"unfrozen from": "block6", "layers moved": 14, "validation loss": 0.3}
    tried |= {"validation accuracy": 0.9, "epochs": 2, "seconds": 8.1, "ended by": "epochs"}
    return {
        "class_names": list(names),
        "image_size": [224, 224],
        "head": "linear",
        "prefix": {"precision": "bfloat16", "engine": "openvino"},
        "recipe": Recipe(image_size=224, resize="squash").to_dict(),
        "choice": {
            "best": row,
            "reason": "lite at 224: better than all others",
            "candidates": [row, other],
            "resize": {"best": "squash", "reason": "nearly all images are square"},
        },
        "fine_tuning": {
            "depth": "block6",
            "epochs": 2,
            "best_epoch": 2,
            "stopped": "epochs",
            "share": 0.75,
            "before": {"accuracy": 0.86},
            "after": {"accuracy": 0.91},
            "history": [epoch, {**epoch, "validation_loss": 0.5}],
            "moved": ["a", "b"],
            "tried": [{**tried, "kept": True}],
            "search_ended": "the time limit",
        },
        "data": {
            "name": "animals",
            "fingerprint": "1fa68b0c",
            "images": {"train": 900, "validation": 100, "test": 300},
            "skipped": 3,
        },
        "versions": {"python": "3.11.7", "headstart": "0.1.0"},
    }


def _trust(names: tuple[str, ...]) -> dict[str, Any]:
    bins = [
        {"low": 0.0, "high": 0.5, "images": 0, "stated": 0.0, "right": 0.0},
        {"low": 0.5, "high": 1.0, "images": 300, "stated": 0.93, "right": 0.9},
    ]
    judged = {"calibration_error": 0.03, "log_loss": 0.3, "bins": bins}
    rates = {"accuracy": 0.9, "low": 0.87, "high": 0.93}
    own = [
        {"name": one, "images": 100, "covered": 0.91, "low": 0.85, "high": 0.95} for one in names
    ]
    advice = {"recall": 0.8, "low": 0.7, "high": 0.9, "advice": "add images"}
    return {
        "calibration": {"temperature": 1.3, "before": judged, "after": judged},
        "sets": {
            "level": 0.9,
            "classes": own,
            "covered": 0.91,
            "low": 0.88,
            "high": 0.94,
            "mean_size": 1.1,
            "sizes": {"0": 5, "1": 280, "2": 15},
        },
        "abstaining": [
            {"threshold": 0.3, "answered": 1.0, **rates},
            {"threshold": 0.6, "answered": 0.8, **rates, "accuracy": 0.97, "high": 0.99},
        ],
        "unknown": {"threshold": 0.4, "flagged": 6, "images": 300},
        "learning_curve": {
            "points": [{"images": 200, **rates}, {"images": 900, **rates}],
            "expected": {"images": 1800, **rates},
            "verdict": "Yes: a little.",
            "classes": [{"name": one, **advice} for one in names],
        },
        "intervals": {"balanced_accuracy": [0.8, 0.9], "log_loss": [0.2, 0.4]},
    }


def _extra(names: tuple[str, ...]) -> dict[str, Any]:
    shown = {"true": names[0], "answer": names[1], "probability": 0.98, "image": address()}
    return {
        "format": 1,
        "made": "2026-11-26",
        "seconds": {"total": 60.0, "read": 0.01, "features": 50.0},
        "computed": 1300,
        "head": {"cv_accuracy": 0.87},
        "warnings": ["4 images are copies"],
        "leaks": 2,
        "skipped": [{"path": "cat/1.txt", "reason": "not an image"}],
        "examples": [shown],
        "wrong": 40,
        "worst": [{**shown, "file": "cat/9.jpg", "given_to_true": 0.01, "map": address(200)}],
        "files": {"cat/2.jpg": address(10)},
    }


def _checkup() -> dict[str, Any]:
    found = {"files": ["cat/2.jpg"], "classes": ["cat"], "evidence": "dog is 96% likely"}
    advice = {"advice": "look at it", "score": 0.9}
    return {
        "images": 1300,
        "classes": 3,
        "counts": {"label": 9, "shortcut": 1, "dark": 0},
        "findings": [
            {"kind": "label", **found, **advice},
            {"kind": "shortcut", "files": [], "classes": ["cat"], "evidence": "by size", **advice},
        ],
        "seconds": {"total": 1.0, "labels": 0.5},
    }
