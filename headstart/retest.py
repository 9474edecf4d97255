"""Test a saved classifier on labelled images, and say which of them it was trained on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import bundle
from headstart.dataset import PART_NAMES, Dataset, Problem, read_dataset
from headstart.errors import DatasetError
from headstart.evaluation import Evaluation, evaluate, summary
from headstart.features import extract
from headstart.fingerprints import was_seen
from headstart.scan import display_path

_TEST = PART_NAMES.index("test")


@dataclass(frozen=True)
class Retest:
    """The result of `evaluate_bundle`.

    `evaluation` is on all images used; `unseen` on those that the classifier was not trained on,
    None where that is all or none of them; `seen` counts the others. `skipped` lists files that
    were not used.
    """

    evaluation: Evaluation
    unseen: Evaluation | None
    seen: int
    skipped: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "all": self.evaluation.to_dict(),
            "unseen": None if self.unseen is None else self.unseen.to_dict(),
            "seen_in_training": self.seen,
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
        if self.skipped:
            lines.append(f"{len(self.skipped)} files skipped; --json lists them.")
        return "\n".join(lines)


def evaluate_bundle(path: str | os.PathLike[str], source: str | os.PathLike[str]) -> Retest:
    """Test the bundle at `path` on labelled images.

    Args:
        path: A folder that `headstart fit` wrote.
        source: Images as `headstart.fit` takes them; where they are split already, the test part is
            used.

    Raises:
        HeadstartError: No bundle, or a damaged one.
        DatasetError: No usable images, or classes that the classifier does not know.
    """
    classifier = bundle.load(path)
    dataset = _test_part(read_dataset(source))
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
    columns = np.array(
        [classifier.class_names.index(name) for name in dataset.class_names], np.int64
    )
    labels: npt.NDArray[np.int64] = columns[dataset.labels[rows]]
    if classifier.pixels.views > 1:
        probabilities = classifier.predict_proba([dataset.paths[row] for row in rows])
    else:
        probabilities = classifier.head.probabilities(features.matrix(np.arange(len(labels))))
    seen = was_seen(Path(path), features.digests)

    def on(rows: npt.NDArray[np.bool_]) -> Evaluation:
        return evaluate(probabilities[rows], labels[rows], classifier.class_names)

    some = seen.any() and not seen.all()
    return Retest(
        evaluation=on(np.ones(len(labels), bool)),
        unseen=on(~seen) if some else None,
        seen=int(seen.sum()),
        skipped=skipped,
    )


def _skipped(dataset: Dataset, bad: Mapping[int, str]) -> tuple[Problem, ...]:
    """What was not used: as `headstart.dataset.drop`, but one class, or none, may be left."""
    shown = {row: display_path(os.path.relpath(dataset.paths[row], dataset.root)) for row in bad}
    broken = (Problem(shown[row], reason) for row, reason in bad.items())
    return tuple(sorted((*dataset.problems, *broken), key=lambda one: one.path.split("/")))


def _test_part(dataset: Dataset) -> Dataset:
    rows = np.flatnonzero(dataset.parts == _TEST)
    if not len(rows):
        return dataset
    paths = tuple(dataset.paths[row] for row in rows)
    return replace(dataset, paths=paths, labels=dataset.labels[rows], parts=dataset.parts[rows])
