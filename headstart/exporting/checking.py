"""Compare an exported file, run by its own runtime, with the classifier computing in float32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart import progress
from headstart.classifier import Classifier
from headstart.errors import HeadstartError
from headstart.exporting.material import Material
from headstart.exporting.result import Agreement
from headstart.exporting.runtimes import Answers, Run
from headstart.images import Pixels

TOLERANCE = 1e-4  # of a probability, in float32
MOST_LOSS = 0.02  # of accuracy, with 8 bits
_BATCH = 16


def in_float32(classifier: Classifier) -> Classifier:
    """The classifier as it computes in float32, on one view of an image."""
    identity = replace(classifier.prefix.identity, precision="float32")
    prefix = replace(classifier.prefix, identity=identity)
    pixels = replace(classifier.pixels, views=1)
    return Classifier(classifier.class_names, prefix, classifier.head, pixels)


def computes(classifier: Classifier) -> str:
    """What a classifier does otherwise than `in_float32`, for people; "" where nothing."""
    precision, views = classifier.prefix.identity.precision, classifier.pixels.views
    parts = [precision if precision != "float32" else "", f"{views} views" if views > 1 else ""]
    return " and ".join(filter(None, parts))


@dataclass(frozen=True, eq=False)
class Expected:
    """What must be answered to the material, and what the bundle answers."""

    material: Material
    float32: Answers
    bundle: Answers


def expect(classifier: Classifier, material: Material) -> Expected:
    """Let the classifier answer, in float32 and as it is."""
    with progress.stage("predict", len(material.images)) as stage:
        float32 = in_float32(classifier).predict_proba(material.images)
        same = not computes(classifier)
        bundle = float32 if same else classifier.predict_proba(material.images)
        stage.advance(len(material.images))
    return Expected(material, float32, bundle)


def answer(run: Run, images: Sequence[Pixels]) -> Answers:
    """Run a model on images in batches, the first image alone and the rest of another size."""
    found = [run(images[0][None])]
    with progress.stage("check", len(images)) as stage:
        for start in range(1, len(images), _BATCH):
            batch = np.stack(images[start : start + _BATCH])
            found.append(run(batch))
            stage.advance(len(batch))
    return np.concatenate(found)


def agreement(got: Answers, wanted: Answers, source: str) -> Agreement:
    """How two classifiers answer the same images; both float32 (n, classes)."""
    difference = float(np.abs(got - wanted).max()) if got.shape == wanted.shape else math.inf
    same = float((got.argmax(1) == wanted.argmax(1)).mean())
    return Agreement(len(wanted), source, same, difference if np.isfinite(got).all() else math.inf)


def accuracy(got: Answers, material: Material) -> float | None:
    """The share of images that are answered right."""
    return None if material.labels is None else float((got.argmax(1) == material.labels).mean())


def check_float32(found: Agreement, name: str) -> None:
    """Refuse an export that does not answer as the classifier does.

    Raises:
        HeadstartError: It differs.
    """
    if found.agreement == 1 and found.difference <= TOLERANCE:
        return
    raise HeadstartError(
        f"The export to {name} does not answer as the classifier does: of {found.images} images "
        f"({found.source}) {found.agreement:.1%} get the same class, and probabilities differ by "
        f"up to {found.difference:.1e}. Expected 100% and at most {TOLERANCE:.0e}. Nothing was "
        "written; export to another format."
    )


def check_int8(before: float, after: float, found: Agreement) -> None:
    """Refuse an export with 8 bits that costs too much accuracy.

    Raises:
        HeadstartError: It does.
    """
    if before - after <= MOST_LOSS and math.isfinite(found.difference):
        return
    raise HeadstartError(
        f"8-bit numbers cost too much accuracy: {before:.1%} becomes {after:.1%} on {found.images} "
        f"images, of which {found.agreement:.1%} get the same class. Expected a loss of at most "
        f"{MOST_LOSS:.0%}. Nothing was written; export without --int8."
    )
