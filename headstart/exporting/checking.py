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


def float32_answers(classifier: Classifier, images: Sequence[Pixels]) -> Answers:
    """What the classifier answers computing in float32 throughout, on one view of an image.

    Unlike `predict_proba`, it rounds nothing to float16 on the way.
    """
    identity = replace(classifier.prefix.identity, precision="float32")
    prefix = replace(classifier.prefix, identity=identity)
    trained = prefix.trained()
    if trained is None:
        features = prefix.open_frozen().stream(images)
    elif trained.whole:
        features = trained.open(identity.engine, "float32").stream(images)
    else:
        between = prefix.open_frozen().stream(images)
        features = trained.open(identity.engine, "float32").stream(between)
    return classifier.head.probabilities(np.stack(list(features)))


def computes(classifier: Classifier) -> str:
    """How a classifier predicts where it is not in float32 throughout, for people."""
    precision, views = classifier.prefix.identity.precision, classifier.pixels.views
    parts = [f"in {precision}" if precision != "float32" else "", "with features in float16"]
    parts += [f"over {views} views of an image"] if views > 1 else []
    return ", ".join(filter(None, parts))


@dataclass(frozen=True, eq=False)
class Expected:
    """What must be answered to the material, and what the bundle answers."""

    material: Material
    float32: Answers
    bundle: Answers


def expect(classifier: Classifier, material: Material) -> Expected:
    """Let the classifier answer, in float32 and as it is."""
    with progress.stage("predict", len(material.images)) as stage:
        float32 = float32_answers(classifier, material.images)
        bundle = classifier.predict_proba(material.images)
        stage.advance(len(material.images))
    return Expected(material, float32, bundle)


def answer(run: Run, images: Sequence[Pixels]) -> Answers:
    """Run a model on images in batches, the first image alone and the rest of another size.

    Raises:
        HeadstartError: It does not run.
    """
    try:
        return _answer(run, images)
    except (HeadstartError, OSError, MemoryError):
        raise
    except Exception as error:  # runtimes raise kinds of their own
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
        raise HeadstartError(
            f"The exported model does not run: {why}. Expected one answer for each image. Nothing "
            "was written; export to another format."
        ) from error


def _answer(run: Run, images: Sequence[Pixels]) -> Answers:
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
        f"{MOST_LOSS:.0%}. Nothing was written; check and calibrate with more images by --data, or "
        "export without --int8."
    )
