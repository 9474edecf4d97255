"""The accuracy of the head on frozen features, each image answered by a head that has not seen it.

All images are divided into folds, class by class, copies of one image together. For each fold a
head is fitted on the others, its strength chosen there anew, so nothing of a fold has a say in what
answers it. The features are made once, so this takes about as long as fitting the head that often.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart import progress
from headstart.asked import as_recipe
from headstart.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.evaluation import Evaluation, evaluate
from headstart.heads import TrainingData, choose_head, fit_head
from headstart.heads.folds import assign_folds
from headstart.learning import choose_prefix
from headstart.preparation import Prepared, prepare
from headstart.recipe import NAMED, Recipe, without_search
from headstart.stopwatch import Stopwatch

FOLDS = 5
_MOST_FOLDS = 100


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """What cross-validation found.

    Attributes:
        evaluation: Of all images, each answered once.
        folds: Accuracy on each fold.
        head: The kind of head.
    """

    evaluation: Evaluation
    folds: tuple[float, ...]
    head: str

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        one = self.evaluation
        return {
            "folds": list(self.folds),
            "head": self.head,
            "images": one.images,
            "accuracy": one.accuracy,
            "low": one.low,
            "high": one.high,
            "evaluation": one.to_dict(),
        }

    def summary(self) -> str:
        """The result as one line."""
        one, folds = self.evaluation, self.folds
        return (
            f"Cross-validated on all {one.images} images in {len(folds)} folds, frozen features "
            f"and {self.head} head: accuracy {one.accuracy:.3f} (95% interval {one.low:.3f} to "
            f"{one.high:.3f}; folds {min(folds):.3f} to {max(folds):.3f})."
        )


def check_folds(folds: int) -> int:
    """Give the number of folds back.

    Raises:
        HeadstartError: It cannot be used.
    """
    if type(folds) is not int or not 2 <= folds <= _MOST_FOLDS:
        raise HeadstartError(
            f"Images cannot be divided into {folds!r} folds. Expected a whole number from 2 to "
            f"{_MOST_FOLDS}. 5 or 10 are usual."
        )
    return folds


def cross_validate(
    source: str | os.PathLike[str] | Dataset,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    *,
    folds: int = FOLDS,
    device: str = "auto",
) -> CrossValidation:
    """Cross-validate the head on the features of a frozen network.

    Args:
        source: As in `fit`; a split that it has is not looked at.
        recipe: As in `fit`, `read_recipe("frozen")` where it is left out. What is open of image
            size and resize mode is the backbone's own and `squash`; nothing is fine-tuned.
        folds: How many; of a class with fewer images some folds have none.
        device: `auto`, `cpu` or `gpu`.

    Raises:
        DatasetError: The data cannot be used.
        HeadstartError: A choice that does not exist, or images that cannot be decoded.
    """
    check_folds(folds)
    recipe = without_search(as_recipe(recipe, NAMED["frozen"]))
    prefix, recipe = choose_prefix(recipe, device)
    prepared = prepare(source, recipe, prefix, math.inf, Stopwatch())
    return cross_validate_prepared(prepared, recipe, folds)


def cross_validate_prepared(prepared: Prepared, recipe: Recipe, folds: int) -> CrossValidation:
    """The same for features that are there.

    Args:
        prepared: All of its images are used, whatever part they are in.
        recipe: Head, class weight and seed.
        folds: 2 or more.

    Raises:
        HeadstartError: All images are copies of each other.
    """
    dataset, labels = prepared.dataset, prepared.dataset.labels
    features = prepared.features.matrix(np.arange(len(labels)))
    count = len(dataset.class_names)
    kind = choose_head(np.bincount(labels)) if recipe.head == "auto" else recipe.head
    fold = assign_folds(labels, prepared.groups, folds, recipe.seed)
    answers = np.zeros((len(labels), count), np.float32)
    used = np.unique(fold)
    if len(used) < 2:
        raise HeadstartError(
            "Cross-validation has nothing to learn from: all images are copies of one. Expected "
            "images that are no copies of each other. Add some."
        )
    with progress.stage("cross-validate", len(used)) as stage:
        for one in used:
            train = fold != one
            data = TrainingData(
                features[train], labels[train], count, groups=prepared.groups[train]
            )
            fitted = fit_head(
                kind,
                data,
                seed=recipe.seed,
                class_weight=recipe.class_weight,
                epochs=recipe.head_epochs,
            )
            answers[~train] = fitted.head.probabilities(features[~train])
            stage.advance()
    right = answers.argmax(axis=1) == labels
    evaluation = evaluate(answers, labels, dataset.class_names)
    return CrossValidation(
        evaluation, tuple(float(right[fold == one].mean()) for one in used), kind
    )
