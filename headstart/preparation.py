"""From a data set on disk to features and a split: all that comes before anything learns.

Features come before the split because copies of one image are found by what the decoder saw, and
must stay on one side.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart import progress
from headstart.cache import make_room
from headstart.copies import copy_groups
from headstart.dataset import Dataset, drop, read_dataset
from headstart.errors import DatasetError, HeadstartError
from headstart.features import Features, extract
from headstart.prefix import Prefix
from headstart.recipe import Recipe
from headstart.scan import display_path
from headstart.split import Split, make_split
from headstart.stopwatch import Stopwatch

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set with the features of its images, split, and the groups of copies in it."""

    dataset: Dataset
    features: Features
    split: Split
    groups: Rows

    @property
    def parts(self) -> dict[str, Rows]:
        """The rows of each part."""
        split = self.split
        return {"train": split.train, "validation": split.validation, "test": split.test}


def prepare(
    source: str | os.PathLike[str] | Dataset,
    recipe: Recipe,
    prefix: Prefix,
    deadline: float,
    watch: Stopwatch,
) -> Prepared:
    """Read the data, make features with the frozen network, and split.

    Raises:
        DatasetError: The data cannot be used, or too few images are left.
        HeadstartError: The time is over before the first image.
    """
    with watch.stage("read"), progress.stage("read"):
        dataset = source if isinstance(source, Dataset) else read_dataset(source)
    with watch.stage("features"):
        make_room(keep=prefix.identity.key)
        dataset, features = _features(dataset, prefix, recipe, deadline)
    with watch.stage("split"):
        groups = copy_groups(features.digests, features.thumbnails)
        fractions = {
            "validation_fraction": recipe.validation_fraction,
            "test_fraction": recipe.test_fraction,
        }
        split = make_split(dataset.labels, dataset.parts, groups, seed=recipe.seed, **fractions)
    if not len(split.train) or not len(split.test):
        raise DatasetError(
            f"Too few images: {len(split.train)} to train on and {len(split.test)} to test on. "
            "Expected at least two of each class. Add images."
        )
    return Prepared(dataset, features, split, groups)


def _features(
    dataset: Dataset, prefix: Prefix, recipe: Recipe, deadline: float
) -> tuple[Dataset, Features]:
    """Features of all images that can be decoded, and the data set without the others."""
    rows: Rows = np.arange(len(dataset.paths))
    order = rows if deadline == math.inf else _balanced_order(dataset.labels, recipe.seed)
    paths = [dataset.paths[row] for row in order]
    features = extract(paths, prefix, resize=recipe.resize, deadline=deadline)
    reasons = {int(order[position]): reason for position, reason in features.bad.items()}
    if not features.computed and len(features.unreached) == len(rows):
        raise HeadstartError(
            "The time limit is over before the first image. Expected time to read the data, start "
            "the network and make some features. Give more seconds."
        )
    late = "not reached within the time limit; run again to go on from here"
    reasons |= {int(order[position]): late for position in features.unreached}
    if features.unreached:
        count = len(features.unreached)
        progress.remark("features", f"time limit: {count} of {len(rows)} images were not reached")
    place = {path: row for row, path in enumerate(dataset.paths)}
    dataset = drop(dataset, reasons)
    kept = np.array([place[path] for path in dataset.paths], np.int64)
    return dataset, features.take(np.argsort(order)[kept])


def _balanced_order(labels: Rows, seed: int) -> Rows:
    """A random order in which every beginning holds all classes in about their proportions."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels)[labels[by_class]]
    first = np.searchsorted(labels[by_class], labels[by_class])
    share = (np.arange(len(labels)) - first + 0.5) / counts
    return by_class[np.argsort(share, kind="stable")].astype(np.int64)


def data_warnings(prepared: Prepared) -> tuple[str, ...]:
    """What the user should know about the data."""
    dataset, split, groups = prepared.dataset, prepared.split, prepared.groups
    warnings = list(dataset.notes)
    if split.leaks:
        count = sum(map(len, split.leaks))
        names = [" = ".join(_name(dataset, row) for row in rows) for rows in split.leaks[:5]]
        warnings.append(
            f"{count} images have a copy on another side of the given split, which makes the "
            f"result look better than it is: {'; '.join(names)}"
        )
    size = np.bincount(groups)[groups]
    if (size > 1).any():
        warnings.append(
            f"{int((size > 1).sum())} images are copies or near-copies of another; where headstart "
            "made the split, copies stay on one side"
        )
    return tuple(warnings)


def _name(dataset: Dataset, row: int) -> str:
    return display_path(os.path.relpath(dataset.paths[row], dataset.root))
