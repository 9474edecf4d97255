"""From a run to `report.json`: what only the run knew, with thumbnails of test images.

Maps are made here too: whoever has a way to explain an answer gives it as `explain`, which takes
the path of an image and a class, and returns the image with its map over it, uint8 RGB.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.errors import HeadstartError
from headstart.metrics import surest_wrong
from headstart.reporting.material import FORMAT, Values
from headstart.reporting.thumbnails import LARGE, SMALL, Explain, address, thumbnails
from headstart.run import Run
from headstart.scan import display_path

MOST_WORST, MOST_EXAMPLES = 12, 12
MOST_SKIPPED = 20
MOST_OF_FINDING, MOST_OF_KIND = 2, 6  # files of a finding, findings of a kind
MOST_FILES = 60
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ReportedPart:
    """The test part of a run.

    Attributes:
        root: The folder that paths are shown relative to.
        probabilities: float32 (n, classes), of the run's test images in their order.
        leaks: How many images have a copy on another side of the split.
        explain: Makes the map of an image for a class; None where there are no maps.
    """

    root: Path
    probabilities: Floats
    leaks: int = 0
    explain: Explain | None = None


def gather(run: Run, tested: ReportedPart, checkup: Values) -> Values:
    """What only the run knew, as `material` tells it.

    Args:
        run: The run.
        tested: Its test part.
        checkup: What the check-up found; thumbnails of its first files are made.
    """
    labels = _labels(run)
    wrong = surest_wrong(tested.probabilities, labels)
    return {
        "format": FORMAT,
        "made": datetime.date.today().isoformat(),
        "seconds": dict(run.seconds),
        "computed": run.computed,
        "head": run.head,
        "warnings": list(run.warnings),
        "leaks": tested.leaks,
        "skipped": [{"path": one.path, "reason": one.reason} for one in run.skipped[:MOST_SKIPPED]],
        "examples": _examples(run, tested, labels),
        "wrong": len(wrong),
        "worst": _worst(run, tested, labels, wrong),
        "files": _files(tested.root, checkup),
    }


def _labels(run: Run) -> npt.NDArray[np.int64]:
    place = {name: number for number, name in enumerate(run.classifier.class_names)}
    return np.array([place[name] for _, name in run.files["test"]], np.int64)


def _worst(
    run: Run, tested: ReportedPart, labels: npt.NDArray[np.int64], wrong: npt.NDArray[np.int64]
) -> list[Values]:
    """The first of the wrong answers, with image and map."""
    rows = wrong[:MOST_WORST]
    paths = [run.files["test"][row][0] for row in rows]
    found = []
    for row, path, image in zip(rows, paths, thumbnails(paths, LARGE), strict=True):
        about = _answer(run, tested, int(row))
        given = float(tested.probabilities[row, labels[row]])
        shown = _map(tested, path, about["answer"]) if image else None
        place = display_path(os.path.relpath(path, tested.root))
        found.append({"file": place, **about, "given_to_true": given, "image": image, "map": shown})
    return found


def _answer(run: Run, tested: ReportedPart, row: int) -> Values:
    answer = int(tested.probabilities[row].argmax())
    return {
        "true": run.files["test"][row][1],
        "answer": run.classifier.class_names[answer],
        "probability": float(tested.probabilities[row, answer]),
    }


def _map(tested: ReportedPart, path: Path, class_name: str) -> str | None:
    """The map of one image; None where there is none, which is no reason to lose the rest."""
    if tested.explain is None:
        return None
    try:
        return address(tested.explain(path, class_name), LARGE)
    except HeadstartError:
        return None


def _examples(run: Run, tested: ReportedPart, labels: npt.NDArray[np.int64]) -> list[Values]:
    """For each of the first classes the test image of it that is as sure as half of them."""
    given = tested.probabilities[np.arange(len(labels)), labels]
    rows = []
    for label in np.unique(labels)[:MOST_EXAMPLES]:
        own = np.flatnonzero(labels == label)
        rows.append(int(own[np.argsort(-given[own], kind="stable")][len(own) // 2]))
    images = thumbnails([run.files["test"][row][0] for row in rows], SMALL * 2)
    return [
        {**_answer(run, tested, row), "image": image}
        for row, image in zip(rows, images, strict=True)
        if image
    ]


def _files(root: Path, checkup: Values) -> dict[str, str]:
    """Thumbnails of the first files that the check-up names, kind by kind."""
    names = list(dict.fromkeys(_named(checkup)))[:MOST_FILES]
    found = zip(names, thumbnails([root / name for name in names], SMALL), strict=True)
    return {name: image for name, image in found if image}


def _named(checkup: Values) -> Iterator[str]:
    shown: dict[Any, int] = {}
    for finding in checkup.get("findings") or ():
        number = shown[finding["kind"]] = shown.get(finding["kind"], 0) + 1
        if number <= MOST_OF_KIND:
            yield from finding["files"][:MOST_OF_FINDING]
