"""What a report is made of, all of it JSON values; `read_material` takes it from a bundle.

A bundle has most of it anyway. `report.json` adds what only the run knew:

    {"format": 1, "made": "2026-11-26", "seconds": {stage: seconds}, "computed": images,
     "head": what was found about the head, "warnings": [text], "leaks": images,
     "skipped": [{"path", "reason"}] (the first of them),
     "examples": [{"class", "answer", "probability", "image"}],
     "wrong": how many test images,
     "worst": [{"file", "true", "answer", "probability", "given_to_true", "image", "map"}],
     "files": {path in the check-up: image}}

An image is a small JPEG in a `data:` address, or null. A bundle without `report.json`, of an older
headstart or saved without a report, still gives the figures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headstart.bundle import read_about
from headstart.errors import HeadstartError

FORMAT = 1
PAGE, EXTRA, CHECKUP = "report.html", "report.json", "checkup.json"
Values = dict[str, Any]


@dataclass(frozen=True)
class Material:
    """What a page shows; each is a JSON object, empty where a bundle does not have it.

    Attributes:
        about: What `bundle.json` says.
        metrics: The evaluation of each part, and under `trust` what was measured besides.
        extra: What only the run knew.
        checkup: What the check-up found.
    """

    about: Values
    metrics: Values
    extra: Values = field(default_factory=dict)
    checkup: Values = field(default_factory=dict)

    @property
    def test(self) -> Values:
        """The evaluation on the test part."""
        return part(self.metrics, "test")

    @property
    def trust(self) -> Values:
        """Calibration, prediction sets, learning curve and so on."""
        return part(self.metrics, "trust")

    @property
    def data(self) -> Values:
        """Name, fingerprint and numbers of images."""
        return part(self.about, "data")

    @property
    def recipe(self) -> Values:
        """Every choice."""
        return part(self.about, "recipe")


def part(values: Mapping[str, Any], name: str) -> Values:
    """An object within an object; empty where there is none."""
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def labels_judged(material: Material) -> bool:
    """Whether the check-up had the time to judge labels; without it not all was looked at."""
    return "labels" in part(material.checkup, "seconds")


def read_material(folder: Path) -> Material:
    """Read what a bundle can show.

    Raises:
        HeadstartError: Not a bundle, from a newer headstart, or damaged.
    """
    return material_in(folder, read_about(folder))


def material_in(folder: Path, about: Mapping[str, Any]) -> Material:
    """The material in the folder of a bundle, of which bundle.json says `about`.

    Raises:
        HeadstartError: A file of it is no JSON object, or metrics.json is missing.
    """
    extra = read_object(folder / EXTRA)
    if extra.get("format", FORMAT) != FORMAT:
        raise HeadstartError(
            f"The material of the report in '{folder}' has format {extra['format']!r}. Expected "
            f"format {FORMAT}. Install the newest headstart."
        )
    metrics = read_object(folder / "metrics.json", needed=True)
    return Material(dict(about), metrics, extra, read_object(folder / CHECKUP))


def read_object(path: Path, *, needed: bool = False) -> Values:
    """The JSON object in a file; an empty one where there is no file, unless it is needed.

    Raises:
        HeadstartError: It cannot be read, or holds something else.
    """
    if not needed and not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError, RecursionError) as error:
        raise HeadstartError(
            f"'{path}' cannot be read: {error}. Expected the file as headstart fit wrote it. Copy "
            "the bundle anew, or train again."
        ) from error
    return found
