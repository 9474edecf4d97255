"""Shortcuts: can a tiny decision tree tell the classes by how the images were taken and stored?

Size, shape, file type, camera and mean colour go in, each by itself; out comes a finding where its
cross-validated balanced accuracy is far above chance. See Geirhos et al., "Shortcut learning in
deep neural networks" (2020, arXiv:2004.07780).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.checkup.finding import Finding
from headstart.checkup.looks import FIELDS
from headstart.heads.folds import assign_folds
from headstart.metrics import Rows, balanced_accuracy, confusion_matrix

Floats = npt.NDArray[np.float64]
_FOLDS = 5
_FEWEST = 10  # images in the smallest class that is looked at
_MOST = 5000  # images that a tree is fitted on
# Of the way from chance to perfect. Mean colour, and the bytes that an image compresses to, depend
# on what is shown, so more is asked of them.
_SIGNAL, _SHOWN_SIGNAL = 0.25, 0.5
_OF_WHAT_IS_SHOWN = ("mean colour", "size of the file")
_CODES = 10  # most frequent values of a code


def shortcut_findings(
    looks: Floats, labels: Rows, groups: Rows, class_names: Sequence[str], seed: int
) -> Iterator[Finding]:
    """Find what tells the classes without looking at what is shown.

    Args:
        looks: float64 (n, fields) of `looks.measure`.
        labels: (n,) classes.
        groups: (n,) the same number for copies, which stay in one fold.
        class_names: Of all classes.
        seed: Draws the folds, and the images where there are many.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    large = np.flatnonzero(counts >= _FEWEST)
    rows = np.flatnonzero(np.isfinite(looks).all(axis=1) & np.isin(labels, large))
    if len(large) < 2 or not len(rows):
        return
    if len(rows) > _MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _MOST, replace=False))
    names = [class_names[int(label)] for label in large]
    own = np.searchsorted(large, labels[rows])
    folds = assign_folds(own, groups[rows], _FOLDS, seed)
    for what, (columns, values) in _inputs(looks[rows]).items():
        if not (values != values[0]).any():
            continue
        reached, chance = _judge(values, own, folds), 1 / len(large)
        share = (reached - chance) / (1 - chance)
        if share < (_SHOWN_SIGNAL if what in _OF_WHAT_IS_SHOWN else _SIGNAL):
            continue
        rule = _first_rule(columns, values, own, names)
        text = (
            f"the {what} alone tells the classes with a balanced accuracy of {reached:.2f} "
            f"(chance is {chance:.2f}): {rule}"
        )
        yield Finding("shortcut", (), tuple(names), text, share)


def _inputs(looks: Floats) -> dict[str, tuple[list[str], Floats]]:
    """What trees are fitted on: for each sort of trace the names of its columns, and the values."""
    column = {name: looks[:, place] for place, name in enumerate(FIELDS)}
    height, width = column["height"], column["width"]
    file_type = [_coded(column["format"]), column["transparent"][:, None]]
    return {
        "image size": (["height", "width"], np.column_stack([height, width])),
        "aspect ratio": (["width / height"], (width / height)[:, None]),
        "size of the file": (["bytes"], column["bytes"][:, None]),
        "file type": ([], np.hstack(file_type)),
        "camera": ([], _coded(column["camera"])),
        "mean colour": (
            ["red", "green", "blue"],
            np.column_stack([column[name] for name in ("red", "green", "blue")]),
        ),
    }


def _coded(codes: Floats) -> Floats:
    """(n,) codes -> (n, k): one column, 0 or 1, for each of the most frequent."""
    values, counts = np.unique(codes, return_counts=True)
    frequent = values[np.argsort(-counts, kind="stable")[:_CODES]]
    columns: Floats = (codes[:, None] == frequent[None]).astype(np.float64)
    return columns


def _tree(classes: int, rows: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(
        max_leaf_nodes=int(np.clip(2 * classes, 6, 40)),
        min_samples_leaf=max(3, rows // 200),
        class_weight="balanced",
        random_state=0,
    )


def _judge(values: Floats, labels: Rows, folds: Rows) -> float:
    """Balanced accuracy in cross-validation."""
    answers, count = np.zeros(len(labels), np.int64), int(labels.max()) + 1
    for fold in range(_FOLDS):
        held = folds == fold
        tree = _tree(count, len(labels)).fit(values[~held], labels[~held])
        answers[held] = tree.predict(values[held])
    return balanced_accuracy(confusion_matrix(labels, answers, count)) or 0.0


def _first_rule(columns: list[str], values: Floats, labels: Rows, names: Sequence[str]) -> str:
    """The first question of the tree, with the class that stands out on each side."""
    tree = _tree(len(names), len(labels)).fit(values, labels).tree_
    at = int(tree.feature[0])
    if at < 0 or not columns:
        return "look at the files of each class"
    low = values[:, at] <= tree.threshold[0]
    sides = []
    for side in (low, ~low):
        counts = np.bincount(labels[side], minlength=len(names))
        share = counts / np.maximum(np.bincount(labels, minlength=len(names)), 1)
        best = int(share.argmax())
        sides.append(f"{share[best]:.0%} of {names[best]}")
    edge = tree.threshold[0]
    shown = f"{edge:.2f}" if abs(edge) < 10 else f"{edge:.0f}"
    return f"{columns[at]} up to {shown} has {sides[0]}, above has {sides[1]}"
