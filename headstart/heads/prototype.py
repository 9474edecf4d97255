"""Nearest class mean: for one to four images a class, where a fitted boundary would follow noise.

The score of a class is minus half the squared distance to its mean, on scaled features, times a
sharpness; that is linear in the features, so the head is one matrix (Snell et al. 2017,
"Prototypical networks for few-shot learning", https://arxiv.org/abs/1703.05175, section 2.4). The
sharpness is the one at which each training image, held against the means without it, is answered
best.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart import progress
from headstart.heads.data import (
    ABSENT_BIAS,
    HeadFit,
    HeldOut,
    TrainingData,
    choose_class_weight,
    measure_scaling,
    row_weights,
)
from headstart.heads.head import Floats, Head, row_blocks, softmax

# What is tried, times 1 / features. Two images a class, each held against the other, would ask for
# next to no sharpness, so there is a least one.
SHARPNESS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
DEFAULT_SHARPNESS = 4.0  # where no class has two images; about what more images give
_FLOOR = 1.0  # few images say little about the spread of one feature


def fit_prototype(data: TrainingData, *, seed: int, class_weight: str) -> HeadFit:
    """Fit the head; it is the same for every seed.

    Args:
        data: Features and labels; the validation part is not looked at.
        seed: Not needed here.
        class_weight: `auto`, `balanced` or `none`: how classes count in choosing the sharpness.

    Returns:
        The head, and in `details`: `sharpness`; `class_weight`; `cv_accuracy` and `cv_log_loss`,
        each image left out of its class mean in turn, and `cv_images`, how many images have
        another one in their class (None and 0 where none has).

    Raises:
        HeadstartError: Features that are not finite, or an unknown class weight.
    """
    weight = choose_class_weight(class_weight, data.counts)
    scaling = measure_scaling(data.features, _FLOOR)
    with progress.stage("prototype head"):
        means = np.zeros((data.num_classes, data.width), np.float64)
        for rows in row_blocks(*data.features.shape):
            np.add.at(means, data.labels[rows], scaling.apply(data.features[rows]))
        counts = data.counts
        means /= np.maximum(counts, 1)[:, None]
        prototypes = means.astype(np.float32)
        squares = _left_out_squares(data, prototypes, scaling.apply(data.features))
        weights = row_weights(data.labels, counts, weight)
        details, held = _choose_sharpness(squares, data, weights)
    sharpness = np.float32(details["sharpness"] / data.width)
    bias = -sharpness / 2 * np.einsum("kd,kd->k", prototypes, prototypes)
    # Scores that add up to 0 give the same answer, and the best is never below an absent class's.
    present = counts > 0
    prototypes[present] -= prototypes[present].mean(axis=0)
    bias[present] -= bias[present].mean()
    folded, shifted = scaling.fold(sharpness * prototypes.T, bias)
    shifted[~present] = ABSENT_BIAS
    return HeadFit(
        Head("prototype", ((folded, shifted),)), {"class_weight": weight, **details}, held
    )


def _left_out_squares(data: TrainingData, prototypes: Floats, scaled: Floats) -> Floats:
    """Squared distance of each image to each class mean, (n, classes), its own without itself.

    Leaving an image out of the mean of n moves it away from that image by n / (n - 1). Classes
    without an image are infinitely far.
    """
    own = np.arange(len(scaled)), data.labels
    squares = (
        np.einsum("nd,nd->n", scaled, scaled)[:, None]
        - 2 * scaled @ prototypes.T
        + np.einsum("kd,kd->k", prototypes, prototypes)
    )
    count = data.counts[data.labels]
    squares[own] *= (count / np.maximum(count - 1, 1)) ** 2
    squares[:, data.counts == 0] = np.inf
    result: Floats = np.maximum(squares, 0).astype(np.float32)
    return result


def _choose_sharpness(
    squares: Floats, data: TrainingData, weights: Floats
) -> tuple[dict[str, Any], HeldOut | None]:
    able = np.flatnonzero(data.counts[data.labels] > 1)
    if not len(able):
        found = {"cv_accuracy": None, "cv_log_loss": None, "cv_images": 0}
        return {"sharpness": DEFAULT_SHARPNESS, **found}, None
    labels, share = data.labels[able], weights[able] / weights[able].sum()
    tried = []
    for sharpness in SHARPNESS:
        answers = softmax(-np.float32(sharpness / data.width / 2) * squares[able])
        losses = -np.log(np.maximum(answers[np.arange(len(able)), labels], 1e-30))
        tried.append((float(losses @ share), sharpness, losses, answers))
    loss, sharpness, losses, answers = min(tried, key=lambda one: one[0])
    right = squares[able].argmin(axis=1) == labels
    details = {
        "sharpness": sharpness,
        "cv_accuracy": float(right.mean()),
        "cv_log_loss": loss,
        "cv_images": len(able),
    }
    return details, HeldOut(able, losses, right, answers)
