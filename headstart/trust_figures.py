"""How far answers can be trusted, measured on labelled images: JSON values, and as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.conformal import abstaining_figures, fewest_images, set_figures
from headstart.metrics import Probabilities, Rows, surest_wrong

if TYPE_CHECKING:
    from headstart.classifier import Classifier
    from headstart.heads.head import AnyFloats

_MOST = 10  # images listed
_SHOWN_THRESHOLD = 0.8  # that the text tells the cost of


def answer_figures(
    classifier: Classifier, features: AnyFloats, probabilities: Probabilities, labels: Rows
) -> dict[str, Any]:
    """Coverage of the sets, cost of abstaining, and how many images are unlike all known ones.

    Args:
        classifier: Its thresholds are used.
        features: (n, width) of labelled images.
        probabilities: (n, classes), its answers.
        labels: (n,), the true classes.

    Returns:
        `sets` (None where the classifier has no thresholds; `few` are the classes with too few
        images for a threshold of their own), `abstaining` and `unknown` (None where
        it knows no training images).
    """
    decision, names = classifier.decision, classifier.class_names
    sets = None if decision is None else decision.sets(probabilities)
    known = decision is not None and classifier.reference is not None
    beyond = None if decision is None or not known else decision.unknown_beyond
    found = None
    if sets is not None and decision is not None:
        found = set_figures(sets, labels, names, decision.level)
        fewest = fewest_images(decision.level)
        few = [name for name, count in zip(names, decision.images, strict=True) if count < fewest]
        found |= {"few": few, "calibrated_on": decision.source}
    return {
        "sets": found,
        "abstaining": abstaining_figures(probabilities, labels),
        "unknown": None
        if beyond is None
        else {
            "threshold": beyond,
            "flagged": int(classifier.strange(features).sum()),
            "images": len(labels),
        },
    }


def telling_images(
    probabilities: Probabilities, labels: Rows, class_names: Sequence[str], files: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """`worst`: wrong answers, the surest first; `hardest`: least was given to the true class.

    Args:
        probabilities: (n, classes).
        labels: (n,), the true classes.
        class_names: One for each column.
        files: The name of each image, fit to be shown.
    """
    answers, stated = probabilities.argmax(axis=1), probabilities.max(axis=1, initial=0.0)
    own = probabilities[np.arange(len(labels)), labels]
    orders = {
        "worst": surest_wrong(probabilities, labels),
        "hardest": np.argsort(own, kind="stable"),
    }
    return {
        name: [
            {
                "file": files[row],
                "true": class_names[labels[row]],
                "answer": class_names[answers[row]],
                "probability": float(stated[row]),
                "given_to_true": float(own[row]),
            }
            for row in order[:_MOST]
        ]
        for name, order in orders.items()
    }


def trust_lines(trust: Mapping[str, Any]) -> Iterator[str]:
    """The figures as text, a line each; what is missing is left out."""
    if found := trust.get("calibration"):
        yield _calibration_line(found)
    if found := trust.get("sets"):
        yield from _set_lines(found)
    if found := trust.get("abstaining"):
        yield from _abstaining_lines(found)
    if found := trust.get("unknown"):
        yield (
            f"Unlike all training images: {found['flagged']} of {found['images']} "
            f"({_share(found['flagged'], found['images']):.1%})."
        )
    if found := trust.get("learning_curve"):
        yield found["verdict"]
        for one in found["classes"]:
            if one["advice"].startswith(("needs", "look")):
                yield f"Class '{one['name']}' (recall {one['recall']:.3f}): {one['advice']}."


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _calibration_line(found: Mapping[str, Any]) -> str:
    after, before = found["after"], found.get("before")
    chance = f"by chance alone it would be about {after['by_chance']:.3f}"
    if before is None:
        return f"Calibration error {after['calibration_error']:.3f}; {chance}."
    return (
        f"Calibration error {before['calibration_error']:.3f} without temperature, "
        f"{after['calibration_error']:.3f} with temperature {found['temperature']:.3f}; {chance}."
    )


def _set_lines(found: Mapping[str, Any]) -> Iterator[str]:
    sizes = {int(size): count for size, count in found["sizes"].items()}
    several = sum(count for size, count in sizes.items() if size > 1)
    yield (
        f"Sets for {found['level']:.0%}: {found['covered']:.3f} ({found['low']:.3f} to "
        f"{found['high']:.3f}) of the images have their class in their set; {sizes.get(1, 0)} sets "
        f"hold one class, {several} several, {sizes.get(0, 0)} none."
    )
    if found.get("few"):
        yield (
            f"Too few images not learned from (under {fewest_images(found['level'])}) for a "
            f"threshold of their own: {', '.join(found['few'][:_MOST])}; they have that of all "
            "classes together, which may hold for them less often."
        )
    off = [
        f"'{one['name']}' {one['covered']:.3f}"
        for one in found["classes"]
        if one["images"] and one["high"] < found["level"]
    ]
    if off:
        yield f"Below that beyond chance: {', '.join(off[:_MOST])}."


def _abstaining_lines(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    one = next((row for row in found if row["threshold"] == _SHOWN_THRESHOLD), None)
    if one is not None and one["accuracy"] is not None:
        yield (
            f"Answering only from probability {one['threshold']:g} on: {one['answered']:.1%} are "
            f"answered, {one['accuracy']:.1%} of them right ({one['low']:.1%} to "
            f"{one['high']:.1%})."
        )
