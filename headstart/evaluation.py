"""How good a classifier is on some labelled images: probabilities and labels in, `Evaluation` out.

Every figure says how many images it is of, and accuracy comes with its interval and beside what the
simplest answer, always the most frequent class, would reach. Without images the figures are None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headstart import metrics
from headstart.errors import HeadstartError
from headstart.intervals import NAMES, Interval, bootstrap_intervals
from headstart.metrics import Probabilities, Rows
from headstart.scan import printable

_MOST_ROWS = 20  # classes shown as text
_NAME_WIDTH = 30
_SAID = {
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "macro F1",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}
_LARGEST_MATRIX = 200  # classes; the whole matrix of more is no part of `to_dict`


@dataclass(frozen=True)
class ClassResult:
    """One class.

    Attributes:
        name: Of the class.
        images: How many images of it there are.
        precision: Share of the answers with this class that are right; None if never answered.
        recall: Share of its images that are found; None without images.
        recall_low: Lower end of the 95% interval of the recall, or None.
        recall_high: Upper end, or None.
        f1: Harmonic mean of precision and recall; None without images.
    """

    name: str
    images: int
    precision: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    f1: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures; all rates are from 0 to 1, and None where there are no images.

    Attributes:
        images: How many images were judged.
        accuracy: Share of them that was answered right.
        low: Lower end of the 95% interval of the accuracy (Wilson).
        high: Upper end.
        balanced_accuracy: Mean recall over classes: each class counts alike.
        macro_f1: Mean F1 over the classes that have images.
        log_loss: Mean -log of the true class's probability, in nats; 0 is perfect.
        calibration_error: Expected calibration error with 15 bins.
        baseline: Accuracy of always answering the class that is most frequent in training.
        baseline_class: That class.
        classes: One `ClassResult` a class.
        pairs: int64 (m, 3), sorted: each true class that got some answer, that answer, and for how
            many images.
        intervals: 95% intervals (bootstrap) of `balanced_accuracy`, `macro_f1`, `log_loss` and
            `calibration_error`; empty for fewer than two images.
    """

    images: int
    accuracy: float | None
    low: float | None
    high: float | None
    balanced_accuracy: float | None
    macro_f1: float | None
    log_loss: float | None
    calibration_error: float | None
    baseline: float | None
    baseline_class: str
    classes: tuple[ClassResult, ...]
    pairs: Rows
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def confusion(self) -> Rows:
        """The confusion matrix, int64 (classes, classes): row = true class, column = answer."""
        matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)
        matrix[self.pairs[:, 0], self.pairs[:, 1]] = self.pairs[:, 2]
        return matrix

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON values.

        `confusion` is the whole matrix, None where there are over 200 classes; `confusions` is
        always there.
        """
        values = {name: value for name, value in vars(self).items() if name != "pairs"}
        small = len(self.classes) <= _LARGEST_MATRIX
        return {
            **values,
            "classes": [dict(vars(one)) for one in self.classes],
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "confusion": self.confusion.tolist() if small else None,
            "confusions": [list(one) for one in self.confusions()],
        }

    def confusions(self) -> list[tuple[str, str, int]]:
        """Wrong answers, most frequent first: true class, answer, how many images."""
        true, answer, count = self.pairs[self.pairs[:, 0] != self.pairs[:, 1]].T
        order = np.lexsort((answer, true, -count))
        name = [one.name for one in self.classes]
        return [(name[true[at]], name[answer[at]], int(count[at])) for at in order]

    def __str__(self) -> str:
        """The figures as text, the same as `summary`."""
        return summary(self)


def evaluate(
    probabilities: Probabilities,
    labels: Rows,
    class_names: Sequence[str],
    *,
    train_labels: Rows | None = None,
) -> Evaluation:
    """Judge answers.

    Args:
        probabilities: float (n, classes), rows add up to 1.
        labels: int64 (n,), the true classes.
        class_names: One name for each column.
        train_labels: int64 (m,), labels of the training part, by which the baseline's class is
            chosen; without them it is the most frequent class of `labels`.

    Raises:
        HeadstartError: The shapes do not fit.
    """
    count = len(class_names)
    if probabilities.shape != (len(labels), count):
        raise HeadstartError(
            f"Probabilities {probabilities.shape} do not fit {len(labels)} labels and {count} "
            f"classes. Expected ({len(labels)}, {count}). Pass one row for each label."
        )
    matrix = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), count)
    true, answer = np.nonzero(matrix)
    right = int(np.trace(matrix))
    low, high = metrics.wilson_interval(right, len(labels)) if len(labels) else (None, None)
    chosen_by = labels if train_labels is None or not len(train_labels) else train_labels
    majority = int(np.bincount(chosen_by, minlength=count).argmax())
    present = matrix.sum(axis=1) > 0
    return Evaluation(
        images=len(labels),
        accuracy=right / len(labels) if len(labels) else None,
        low=low,
        high=high,
        balanced_accuracy=metrics.balanced_accuracy(matrix),
        macro_f1=float(metrics.f1_scores(matrix)[present].mean()) if present.any() else None,
        log_loss=metrics.log_loss(probabilities, labels),
        calibration_error=metrics.expected_calibration_error(probabilities, labels),
        baseline=float((labels == majority).mean()) if len(labels) else None,
        baseline_class=class_names[majority],
        classes=_class_results(matrix, class_names),
        pairs=np.column_stack([true, answer, matrix[true, answer]]),
        intervals=bootstrap_intervals(probabilities, labels),
    )


def _class_results(matrix: Rows, class_names: Sequence[str]) -> tuple[ClassResult, ...]:
    precision, recall = metrics.precisions(matrix), metrics.recalls(matrix)
    f1, images, answers = metrics.f1_scores(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    results = []
    for at, name in enumerate(class_names):
        there, total = bool(images[at]), int(images[at])
        low, high = metrics.wilson_interval(int(matrix[at, at]), total) if there else (None, None)
        results.append(
            ClassResult(
                name=name,
                images=total,
                precision=float(precision[at]) if answers[at] else None,
                recall=float(recall[at]) if there else None,
                recall_low=low,
                recall_high=high,
                f1=float(f1[at]) if there else None,
            )
        )
    return tuple(results)


def summary(evaluation: Evaluation) -> str:
    """The result as text: one sentence, the figures, a row a class, the confusions."""
    if evaluation.accuracy is None:
        return "There are no images to test on."
    one = evaluation
    right = round(evaluation.accuracy * evaluation.images)
    lines = [
        f"Test accuracy {one.accuracy:.3f} (95% interval {one.low:.3f} to {one.high:.3f}): "
        f"{right} of {one.images} images right.",
        f"Always answering '{_cut(one.baseline_class)}' would give {one.baseline:.3f}.",
        f"{', '.join(_with_interval(one, name) for name in NAMES[:2])},",
        f"{', '.join(_with_interval(one, name) for name in NAMES[2:])}.",
        "",
        *_class_table(one),
        *_confusion_lines(one),
    ]
    return "\n".join(lines)


def _with_interval(evaluation: Evaluation, name: str) -> str:
    """`log loss 0.259 (0.214 to 0.306)`."""
    text = f"{_SAID[name]} {getattr(evaluation, name):.3f}"
    ends = evaluation.intervals.get(name)
    return text if ends is None else f"{text} ({ends[0]:.3f} to {ends[1]:.3f})"


def _class_table(evaluation: Evaluation) -> list[str]:
    """A row for each class, those with the lowest recall where there are many."""
    shown = [one for one in evaluation.classes if one.images]
    if len(shown) > _MOST_ROWS:
        shown = sorted(shown, key=lambda one: (one.recall or 0.0, one.name))[:_MOST_ROWS]
    width = min(_NAME_WIDTH, max(len("class"), *(len(printable(one.name)) for one in shown)))
    lines = [f"{'class':<{width}}  images  precision  recall  (95% interval)      F1"]
    for one in shown:
        precision = "    -" if one.precision is None else f"{one.precision:.3f}"
        lines.append(
            f"{_cut(one.name, width):<{width}}  {one.images:>6}  {precision:>9}  {one.recall:>6.3f}"
            f"  {one.recall_low:.3f} to {one.recall_high:.3f}  {one.f1:>6.3f}"
        )
    rest = sum(1 for one in evaluation.classes if one.images) - len(shown)
    return [*lines, f"... and {rest} classes with a higher recall."] if rest else lines


def _confusion_lines(evaluation: Evaluation) -> list[str]:
    found = evaluation.confusions()[:5]
    if not found:
        return []
    names = [f"{_cut(true)} taken for {_cut(answer)} {count}x" for true, answer, count in found]
    return ["", f"Most frequent confusions: {', '.join(names)}."]


def _cut(name: str, width: int = _NAME_WIDTH) -> str:
    name = printable(name)
    return name if len(name) <= width else name[: width - 3] + "..."
