"""What one training gives: the classifier, the figures, the choices and what they cost."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.bundle import Contents, save_bundle
from headstart.checkup import CheckUp
from headstart.classifier import Classifier
from headstart.crossvalidation import CrossValidation
from headstart.dataset import Problem
from headstart.evaluation import Evaluation
from headstart.origin import note_origin
from headstart.recipe import Recipe


@dataclass(frozen=True)
class Run:
    """What one `fit` gives.

    Attributes:
        classifier: Ready to predict.
        evaluation: On the test part, which had no say in any choice.
        validation: On the validation part.
        train: On the part that the head learnt from; better than any honest figure.
        recipe: Every choice, filled in.
        head: What was found about the head: strength, cross-validated accuracy and so on.
        choice: How backbone and image size were found, as `Ranking.to_dict` gives it; None where
            they were given.
        fine_tuning: What fine-tuning did: depth, cut, epochs, what moved; None where there was
            none.
        files: The images of each part (train, validation, test), each with its class.
        skipped: Files that were not used, with the reason; used + skipped = found.
        warnings: What the user should know about the data.
        checkup: What was found in the images.
        seconds: `total`, and one figure a stage.
        bundle: Where it was saved, or None.
        cross_validation: Of the head on frozen features, where it was asked for.
        probabilities: float32 (n, classes), of the test images in the order of `files`.
    """

    classifier: Classifier
    evaluation: Evaluation
    validation: Evaluation
    train: Evaluation
    recipe: Recipe
    head: dict[str, Any]
    choice: dict[str, Any] | None
    fine_tuning: dict[str, Any] | None
    files: dict[str, tuple[tuple[Path, str], ...]]
    skipped: tuple[Problem, ...]
    warnings: tuple[str, ...]
    checkup: CheckUp
    seconds: dict[str, float]
    bundle: Path | None
    computed: int
    contents: Contents = field(repr=False)
    cross_validation: CrossValidation | None = None
    probabilities: npt.NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it early."""
        return self.fine_tuning is not None and self.fine_tuning["stopped"] == "interrupted"

    @property
    def trust(self) -> dict[str, Any]:
        """Calibration, sets, abstaining, unknown images, learning curve; also in the metrics."""
        found: dict[str, Any] = self.contents.metrics["trust"]
        return found

    @property
    def images(self) -> dict[str, int]:
        """The number of images in each part."""
        return {name: len(files) for name, files in self.files.items()}

    def save(self, path: str | os.PathLike[str], *, images: bool = True) -> Path:
        """Write the bundle to a folder; a bundle that stands there is replaced.

        Args:
            path: The folder.
            images: Whether it may hold images of yours: the report, which shows test images,
                thumbnails of training images, and an example.

        Raises:
            HeadstartError: The place cannot be written, or holds something else.
        """
        contents = self.contents
        if not images:
            contents = replace(contents, report=None, example=None, images=False)
        note_origin(save_bundle(Path(path), self.classifier, contents), self.files)
        return Path(path)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values: the object that `headstart fit --json` prints."""
        test = _part(self.images["test"], self.evaluation)
        return {
            "bundle": None
            if self.bundle is None
            else os.fsencode(self.bundle).decode(errors="backslashreplace"),
            "backbone": self.classifier.prefix.identity.backbone,
            "image_size": list(self.classifier.image_size),
            "head": self.classifier.head.kind,
            "classes": list(self.classifier.class_names),
            "train": _part(self.images["train"], self.train),
            "validation": _part(self.images["validation"], self.validation),
            "test": {**test, "low": self.evaluation.low, "high": self.evaluation.high},
            "skipped": [{"path": one.path, "reason": one.reason} for one in self.skipped],
            "warnings": list(self.warnings),
            "checkup": self.checkup.to_dict(),
            "computed": self.computed,
            "seconds": self.seconds,
            "recipe": self.recipe.to_dict(),
            "head_fit": self.head,
            "choice": self.choice,
            "fine_tuning": self.fine_tuning,
            "metrics": self.contents.metrics,
            "cross_validation": None
            if self.cross_validation is None
            else self.cross_validation.to_dict(),
        }


def _part(images: int, evaluation: Evaluation) -> dict[str, Any]:
    return {"images": images, "accuracy": evaluation.accuracy}
