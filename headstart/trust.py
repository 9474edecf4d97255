"""What a new classifier knows about its own answers: thresholds, training images, figures.

Nothing here changes an answer. Thresholds come from images that the network has not learned from;
the figures are measured on the test part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.calibration import calibration_figures, log_probabilities, warmed
from headstart.classifier import Classifier
from headstart.conformal import LEVELS, abstain_below, class_thresholds
from headstart.curve import learning_curve
from headstart.decision import Decision
from headstart.evaluation import Evaluation
from headstart.heads import Learnt, TrainingData, fit_head
from headstart.learning import FRACTIONS, Learned
from headstart.metrics import Probabilities
from headstart.preparation import Prepared, mixed_order
from headstart.reference import (
    NEIGHBOURS,
    Reference,
    images_to_keep,
    make_reference,
    strangeness,
)
from headstart.trust_figures import answer_figures, telling_images

_FEWEST_TO_FLAG = 20  # held-out images by which it is told how far is usual
_HELD_AGAINST_OTHERS = 500  # training images by which it is told, too, at most
_USUAL = 0.98  # share of held-out images that are to be nearer than the threshold


@dataclass(frozen=True, eq=False)
class Answered:
    """Features (n, width) of the images of a part, and what the classifier answers (n, classes)."""

    features: npt.NDArray[np.float16]
    probabilities: Probabilities


def answer_part(learned: Learned, classifier: Classifier, part: str) -> Answered:
    """The answers to a part, as the classifier will give them."""
    features, material = learned.features(part), learned.material
    if learned.recipe.views == 1:
        return Answered(features, classifier.head.probabilities(features))
    images = [material.images[row] for row in material.parts[part]]
    return Answered(features, classifier.predict_proba(images))


def with_thresholds(
    prepared: Prepared, learned: Learned, answered: Mapping[str, Answered]
) -> Classifier:
    """The classifier with its thresholds and some of its training images.

    Args:
        prepared: The data.
        learned: What was learned.
        answered: Of `train` and `validation`.
    """
    classifier = learned.classifier(prepared.dataset.class_names)
    classifier.reference = _reference(prepared, answered["train"].features, learned.recipe.seed)
    validation = answered["validation"]
    by_energy, beyond = _usual(learned, classifier.reference, validation.features)
    decision = _decision(learned, validation.probabilities)
    classifier.decision = replace(decision, unknown_beyond=beyond, by_energy=by_energy)
    return classifier


def measure_trust(
    prepared: Prepared,
    learned: Learned,
    classifier: Classifier,
    test: Answered,
    evaluation: Evaluation,
) -> dict[str, Any]:
    """All that is known of how far the answers can be trusted, as JSON values.

    Args:
        prepared: The data.
        learned: What was learned.
        classifier: With its thresholds.
        test: The answers to the test part.
        evaluation: Of the same.
    """
    dataset, rows = prepared.dataset, prepared.split.test
    labels, names = dataset.labels[rows], dataset.class_names
    probabilities, temperature = test.probabilities, learned.temperature
    before = np.exp(warmed(log_probabilities(probabilities), 1 / temperature))
    learnt, train = _learnt(learned), prepared.split.train
    curve = (
        None if learnt is None else learning_curve(learnt, dataset.labels[train], names, len(train))
    )
    return {
        "calibration": {
            "temperature": temperature,
            "before": calibration_figures(before, labels),
            "after": calibration_figures(probabilities, labels),
        },
        **answer_figures(classifier, test.features, probabilities, labels),
        "learning_curve": curve,
        "intervals": {name: list(ends) for name, ends in evaluation.intervals.items()},
        **telling_images(probabilities, labels, names, [dataset.shown(row) for row in rows]),
    }


def _reference(prepared: Prepared, features: npt.NDArray[np.float16], seed: int) -> Reference:
    dataset, train = prepared.dataset, prepared.split.train
    count = images_to_keep(len(dataset.class_names))
    some = mixed_order(dataset.labels[train], seed)[:count]
    rows = train[some]
    names = [dataset.shown(row) for row in rows]
    return make_reference(
        features[some], dataset.labels[rows], names, [dataset.paths[row] for row in rows]
    )


def _decision(learned: Learned, probabilities: Probabilities) -> Decision:
    """Thresholds by the validation part and, for a frozen network, by cross-validation too."""
    labels, source = learned.material.labels[learned.material.split.validation], "validation"
    held = None if learned.fine_tuned or learned.recipe.views > 1 else learned.held_out
    if held is not None:
        answers = np.exp(warmed(log_probabilities(held[0]), learned.temperature))
        probabilities = np.concatenate([probabilities, answers])
        labels, source = np.concatenate([labels, held[1]]), "validation and cross-validation"
    count = learned.material.num_classes
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    found = {level: class_thresholds(own, labels, count, level) for level in LEVELS}
    below = abstain_below(probabilities, labels)
    return Decision(
        thresholds={
            level: tuple(None if one is None else _rounded_down(one) for one in row)
            for level, row in found.items()
            if None not in row
        },
        images=tuple(np.bincount(labels, minlength=count).tolist()),
        source=source,
        abstain_below=None if below is None else _rounded_down(below),
    )


def _rounded_down(value: float) -> float:
    """Six digits, and no more than it was: what the number of images at once changes is less."""
    return float(np.floor(value * 1e6) / 1e6)


def _usual(
    learned: Learned, reference: Reference, features: npt.NDArray[np.float16]
) -> tuple[float, float | None]:
    """What energy counts, and how strange images of the same kind are at most, nearly all of them.

    By the validation part, `features` (n, width). A frozen network has learned from no image, so
    each training image counts too, held against the others. Where the network has learned, distance
    and energy count alike.
    """
    distances, by_energy = reference.distances(features), 0.0
    if learned.fine_tuned:
        if len(features) >= _FEWEST_TO_FLAG:
            spread = float(learned.head.energies(features).std())
            by_energy = float(distances.std()) / spread if spread else 0.0
        strange = strangeness(reference, learned.head, by_energy, features)
    else:
        some = reference.features[:_HELD_AGAINST_OTHERS]
        own = reference.distances(some, itself=True) if len(some) > NEIGHBOURS else np.zeros(0)
        strange = np.concatenate([distances, own])
    if len(strange) < _FEWEST_TO_FLAG:
        return 0.0, None
    return by_energy, float(np.quantile(strange, _USUAL, method="higher"))


def _learnt(learned: Learned) -> Learnt | None:
    """How heads answered that learned from parts of the images; a linear head for an mlp."""
    fitted, material = learned.fitted, learned.material
    if fitted.head.kind != "mlp":
        return fitted.learnt
    train = material.split.train
    data = TrainingData(
        features=material.features.matrix(train),
        labels=material.labels[train],
        num_classes=material.num_classes,
        groups=material.groups[train],
        fractions=FRACTIONS,
    )
    seed, weight = learned.recipe.seed, learned.recipe.class_weight
    return fit_head("linear", data, seed=seed, class_weight=weight).learnt
