"""The trained classifiers of a project: plain bundles in `.headstart/models`, numbered.

Beside each bundle lies what the studio alone needs: `N.json`, how each test image was answered.
"""

from __future__ import annotations

import datetime
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from headstart.bundle import is_bundle
from headstart.errors import HeadstartError
from headstart.reporting.material import PAGE, material_in, read_object
from headstart.reporting.wording import around, count, of_hundred
from headstart.studio.index import Image, NotThere, View
from headstart.studio.place import Place
from headstart.studio.traces import Answer, Tracer

_LARGEST_MATRIX = 200  # classes; as in metrics.json


class Models:
    """Reads the bundles of one project; what was read of one is kept until its files change."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._tracer = Tracer(place.root)
        self._told: dict[str, tuple[int, dict[str, Any]]] = {}

    def folder(self, key: str) -> Path:
        """The bundle of a model, or NotThere."""
        folder = self.place.models / key
        if not (key.isascii() and key.isdecimal() and len(key) < 10) or not is_bundle(folder):
            raise NotThere(
                f"There is no model '{key[:20]}'. Expected one that was trained here. Load the "
                "page again."
            )
        return folder

    def all(self) -> list[dict[str, Any]]:
        """What is told of each model, the newest first; a damaged one is left out."""
        names, found = [], []
        with suppress(FileNotFoundError):  # somebody has tidied up
            names = [one for one in os.listdir(self.place.models) if one.isdecimal()]
        for name in sorted(names, key=int, reverse=True):
            try:
                found.append(self.about(name))
            except HeadstartError:
                continue
        return found

    def about(self, key: str) -> dict[str, Any]:
        """What is told of a model, as JSON values."""
        folder = self.folder(key)
        changed = (folder / "bundle.json").stat().st_mtime_ns
        known = self._told.get(key)
        if known is None or known[0] != changed:
            try:
                known = self._told[key] = changed, _about(key, folder, self._own(key))
            except (LookupError, TypeError, AttributeError) as error:
                raise HeadstartError(
                    f"Model {key} is damaged: {error}. Expected what headstart fit writes. Train "
                    "again."
                ) from error
        return known[1]

    def report(self, key: str, view: View) -> dict[str, Any]:
        """What the report is made of, with the ids of images that are still in the project."""
        folder = self.folder(key)
        material = material_in(folder, _needed(folder / "bundle.json"))
        extra, found = material.extra, view.by_shown | self.traced(key, view)
        return {
            "model": self.about(key),
            "test": material.test,
            "trust": material.trust,
            "confusion": _confusion(material.test),
            "worst": [
                {**one, "id": _id_of(found.get(one["file"]))} for one in extra.get("worst", ())
            ],
            "warnings": extra.get("warnings", []),
            "page": (folder / PAGE).is_file(),
        }

    def cell(self, key: str, view: View, true: str, answer: str) -> list[dict[str, Any]]:
        """The test images of one cell of the confusion matrix; an empty name stands for all."""
        self.folder(key)
        found = self.traced(key, view)
        return [
            {
                "id": _id_of(found.get(one.path)),
                "name": one.path.rpartition("/")[2],
                "file": one.path,
                "true": one.true,
                "answer": one.answer,
                "probability": one.probability,
            }
            for one in self.answers(key)
            if true in ("", one.true) and answer in ("", one.answer)
        ]

    def answers(self, key: str) -> list[Answer]:
        """How each test image was answered; none of a bundle that came from elsewhere."""
        return [Answer(*row) for row in self._own(key).get("answers", ())]

    def traced(self, key: str, view: View) -> dict[str, Image]:
        """The test images that are still in the project, by the path that they had."""
        return self._tracer.trace(view, self.answers(key))

    def page(self, key: str) -> Path:
        """The report as a page, or NotThere."""
        path = self.folder(key) / PAGE
        if not path.is_file():
            raise NotThere("This model has no report. Expected one that was saved with images.")
        return path

    def _own(self, key: str) -> dict[str, Any]:
        return read_object(self.place.models / f"{key}.json")


def _id_of(image: Image | None) -> str | None:
    """Of an image that is still in the project."""
    return None if image is None else image.id


def _confusion(test: dict[str, Any]) -> dict[str, Any] | None:
    names, matrix = [one["name"] for one in test.get("classes", ())], test.get("confusion")
    if matrix is None or len(names) > _LARGEST_MATRIX:
        return None
    return {"classes": names, "rows": matrix}


def _needed(path: Path) -> dict[str, Any]:
    return read_object(path, needed=True)


def _about(key: str, folder: Path, own: dict[str, Any]) -> dict[str, Any]:
    about, metrics = _needed(folder / "bundle.json"), _needed(folder / "metrics.json")
    test, made = metrics["test"], (folder / "bundle.json").stat().st_mtime
    tuned = about.get("fine_tuning") or {}
    return {
        "id": key,
        "made": datetime.datetime.fromtimestamp(made, datetime.UTC).isoformat(timespec="seconds"),
        "checksum": str(about.get("checksum", "")),
        "classes": about["class_names"],
        "images": sum(about["data"]["images"].values()),
        "parts": about["data"]["images"],
        "accuracy": test["accuracy"],
        "low": test["low"],
        "high": test["high"],
        "backbone": about["prefix"]["backbone"],
        "image_size": about["image_size"],
        "unfreeze": tuned.get("unfreeze", about["recipe"]["unfreeze"]),
        "seconds": own.get("seconds"),
        "interrupted": bool(own.get("interrupted")),
        "folder": str(folder),
        "words": in_words(test),
    }


def in_words(test: dict[str, Any]) -> str:
    """The accuracy on the test part in plain words."""
    if test.get("accuracy") is None:
        return "There was no image to test it on."
    low, high = around(test["low"], test["high"])
    text = (
        f"Of 100 new images like these it names about {of_hundred(test['accuracy'])} right; "
        f"between {low} and {high} is likely."
    )
    if test["images"] < 100:
        text += f" That is from {count(test['images'], 'test image')}: more images tell more."
    return text
