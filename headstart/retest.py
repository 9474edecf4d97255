"""Test a saved classifier on labelled images, and say which of them it was trained on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import bundle
from headstart.calibration import calibration_figures
from headstart.classifier import Classifier
from headstart.dataset import PART_NAMES, Dataset, Problem, read_dataset
from headstart.errors import DatasetError
from headstart.evaluation import Evaluation, evaluate, summary
from headstart.features import extract
from headstart.seen import was_seen
from headstart.trust_figures import answer_figures, telling_images, trust_lines

_TEST = PART_NAMES.index("test")


@dataclass(frozen=True)
class Retest:
    """The result of `evaluate_bundle`.

    `evaluation` is on all images used; `unseen` on those that the classifier was not trained on,
    None where that is all or none of them; `seen` counts the others. `skipped` lists files that
    were not used. `trust` is how far the answers can be trusted, on the images not trained on where
    there are some: calibration, sets, abstaining and unknown images, as JSON values.
    """

    evaluation: Evaluation
    unseen: Evaluation | None
    seen: int
    skipped: tuple[Problem, ...]
    trust: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "all": self.evaluation.to_dict(),
            "unseen": None if self.unseen is None else self.unseen.to_dict(),
            "seen_in_training": self.seen,
            "trust": self.trust,
            "skipped": [{"path": one.path, "reason": one.reason} for one in self.skipped],
        }

    def summary(self) -> str:
        """The result as text."""
        lines = [summary(self.evaluation)]
        if self.seen:
            lines.append(
                f"Warning: the classifier was trained on {self.seen} of these images, so the "
                "figures above are better than they would be for new ones."
            )
        if self.unseen is not None:
            lines.append("Without them:\n" + summary(self.unseen))
        lines += ["", *trust_lines(self.trust)] if self.trust else []
        if self.skipped:
            lines.append(f"{len(self.skipped)} files skipped; --json lists them.")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Answered:
    """How a saved classifier answers n labelled images.

    `rows` are their places in the data set and `files` their names below its folder; `labels` and
    the columns of `probabilities` are in the classifier's order; `seen` says which of them it was
    trained on.
    """

    classifier: Classifier
    rows: npt.NDArray[np.int64]
    files: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    features: npt.NDArray[np.float16]
    probabilities: npt.NDArray[np.float32]
    seen: npt.NDArray[np.bool_]
    skipped: tuple[Problem, ...]


def answer_images(path: Path, dataset: Dataset) -> Answered:
    """Answer all images of `dataset` that can be decoded with the bundle at `path`.

    Raises:
        HeadstartError: No bundle, or a damaged one.
        DatasetError: No usable images, or classes that the classifier does not know.
    """
    classifier = bundle.load(path)
    unknown = sorted(set(dataset.class_names) - set(classifier.class_names))
    if unknown:
        raise DatasetError(
            f"The classifier does not know these classes: {', '.join(unknown[:10])}. Expected some "
            f"of: {', '.join(classifier.class_names[:20])}. Rename the folders, or train on these "
            "images."
        )
    features = extract(dataset.paths, classifier.prefix, resize=classifier.resize)
    rows = np.array([row for row in range(len(dataset.paths)) if row not in features.bad], np.int64)
    skipped = _skipped(dataset, features.bad)
    if not len(rows):
        raise DatasetError(
            f"None of the {len(dataset.paths)} images of '{dataset.name}' can be used. Expected "
            f"images that open; the first is '{skipped[0].path}' ({skipped[0].reason}). Replace "
            "them."
        )
    features = features.take(rows)
    matrix = features.matrix(np.arange(len(rows)))
    columns = np.array(
        [classifier.class_names.index(name) for name in dataset.class_names], np.int64
    )
    if classifier.pixels.views > 1:
        probabilities = classifier.predict_proba([dataset.paths[row] for row in rows])
    else:
        probabilities = classifier.head.probabilities(matrix)
    return Answered(
        classifier=classifier,
        rows=rows,
        files=tuple(dataset.shown(row) for row in rows),
        labels=columns[dataset.labels[rows]],
        features=matrix,
        probabilities=probabilities,
        seen=was_seen(path, features.digests),
        skipped=skipped,
    )


def evaluate_bundle(
    path: str | os.PathLike[str], source: str | os.PathLike[str], *, level: float | None = None
) -> Retest:
    """Test the bundle at `path` on labelled images.

    Args:
        path: A folder that `headstart fit` wrote.
        source: Images as `headstart.fit` takes them; where they are split already, the test part is
            used.
        level: Of the sets whose coverage is measured; the bundle's own, 0.9, where it is left out.

    Raises:
        HeadstartError: No bundle, or a damaged one, or one without sets for the level.
        DatasetError: No usable images, or classes that the classifier does not know.
    """
    found = answer_images(Path(path), labelled_images(source))
    if level is not None:
        found.classifier.choose_level(level)
    labels, names, seen = found.labels, found.classifier.class_names, found.seen

    def on(rows: npt.NDArray[np.bool_]) -> Evaluation:
        return evaluate(found.probabilities[rows], labels[rows], names)

    some = bool(seen.any() and not seen.all())
    return Retest(
        evaluation=on(np.ones(len(labels), bool)),
        unseen=on(~seen) if some else None,
        seen=int(seen.sum()),
        skipped=found.skipped,
        trust=_trust(found, np.flatnonzero(~seen) if some else np.arange(len(labels))),
    )


def _trust(found: Answered, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    probabilities, labels = found.probabilities[rows], found.labels[rows]
    files = [found.files[row] for row in rows]
    return {
        "calibration": {"after": calibration_figures(probabilities, labels)},
        **answer_figures(found.classifier, found.features[rows], probabilities, labels),
        **telling_images(probabilities, labels, found.classifier.class_names, files),
    }


def labelled_images(source: str | os.PathLike[str] | Dataset) -> Dataset:
    """The images of a source; where they are split already, the test part.

    Raises:
        DatasetError: The data cannot be used.
    """
    return _test_part(source if isinstance(source, Dataset) else read_dataset(source))


def _skipped(dataset: Dataset, bad: Mapping[int, str]) -> tuple[Problem, ...]:
    """What was not used: as `headstart.dataset.drop`, but one class, or none, may be left."""
    broken = (Problem(dataset.shown(row), reason) for row, reason in bad.items())
    return tuple(sorted((*dataset.problems, *broken), key=lambda one: one.path.split("/")))


def _test_part(dataset: Dataset) -> Dataset:
    rows = np.flatnonzero(dataset.parts == _TEST)
    if not len(rows):
        return dataset
    paths = tuple(dataset.paths[row] for row in rows)
    return replace(dataset, paths=paths, labels=dataset.labels[rows], parts=dataset.parts[rows])
