"""From a data set on disk to features and a split: all that comes before anything learns.

Features come before the split because copies of one image are found by what the decoder saw, and
must stay on one side.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart import progress
from headstart.cache import make_room
from headstart.copies import copy_groups
from headstart.dataset import Dataset, drop, read_dataset
from headstart.errors import DatasetError, HeadstartError
from headstart.features import Features, extract
from headstart.features.extraction import Source
from headstart.images import BadImage
from headstart.prefix import Prefix
from headstart.recipe import Recipe
from headstart.scan import display_path
from headstart.split import Split, make_split
from headstart.stopwatch import Stopwatch

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Material:
    """What is learned from.

    Attributes:
        images: n paths, or the bytes of image files.
        labels: (n,) from 0 to `num_classes` - 1.
        num_classes: How many classes there are.
        features: Of the images, from the frozen network.
        split: Which rows are trained on, chosen by and tested with.
        groups: (n,) the same number for copies of one image.
    """

    images: Sequence[Source]
    labels: Rows
    num_classes: int
    features: Features
    split: Split
    groups: Rows

    @property
    def parts(self) -> dict[str, Rows]:
        """The rows of each part."""
        split = self.split
        return {"train": split.train, "validation": split.validation, "test": split.test}


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set with the features of its images, split, and the groups of copies in it."""

    dataset: Dataset
    features: Features
    split: Split
    groups: Rows

    @property
    def material(self) -> Material:
        """The same, without what is only for people."""
        dataset = self.dataset
        count = len(dataset.class_names)
        return Material(
            dataset.paths, dataset.labels, count, self.features, self.split, self.groups
        )


def read(source: str | os.PathLike[str] | Dataset, watch: Stopwatch) -> Dataset:
    """The labelled images of a source; what is read already is given back.

    Raises:
        DatasetError: The data cannot be used.
    """
    if isinstance(source, Dataset):
        return source
    with watch.stage("read"), progress.stage("read"):
        return read_dataset(source)


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
    dataset = read(source, watch)
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


def prepare_again(
    before: Prepared, recipe: Recipe, prefix: Prefix, deadline: float, watch: Stopwatch
) -> Prepared:
    """The same data and the same split, with features of another network.

    Images that are not reached within the time limit leave their part.

    Raises:
        DatasetError, HeadstartError: As `prepare`.
    """
    with watch.stage("features"):
        make_room(keep=prefix.identity.key)
        dataset, features = _features(before.dataset, prefix, recipe, deadline)
    place = {path: row for row, path in enumerate(dataset.paths)}
    now = np.array([place.get(path, -1) for path in before.dataset.paths], np.int64)
    split, kept = before.split, now >= 0
    train, validation, test = (
        now[rows][kept[rows]] for rows in (split.train, split.validation, split.test)
    )
    if not len(train) or not len(test):
        raise HeadstartError(
            "The time limit is over before there were features to train and test on. Expected more "
            "time. Give more seconds, or an --image-size."
        )
    leaks = tuple(tuple(int(now[row]) for row in rows if kept[row]) for rows in split.leaks)
    split = Split(train, validation, test, tuple(rows for rows in leaks if len(rows) > 1))
    return Prepared(dataset, features, split, before.groups[kept])


def prepare_images(
    images: Sequence[Source], labels: Rows, recipe: Recipe, prefix: Prefix
) -> Material:
    """Make features, and set a validation part aside where something is chosen by it.

    There is no test part: whoever asks for this tests on images of their own.

    Raises:
        BadImage: An image cannot be decoded.
    """
    make_room(keep=prefix.identity.key)
    features = extract(images, prefix, resize=recipe.resize)
    check_decoded(features, images)
    groups = copy_groups(features.digests, features.thumbnails)
    chooses = recipe.unfreeze != 0 or (recipe.head == "mlp" and recipe.head_epochs is None)
    split = make_split(
        labels,
        np.full(len(labels), -1, np.int8),
        groups,
        seed=recipe.seed,
        validation_fraction=recipe.validation_fraction if chooses else 0.0,
        test_fraction=0.0,
    )
    return Material(images, labels, int(labels.max()) + 1, features, split, groups)


def check_decoded(features: Features, images: Sequence[Source]) -> None:
    """Raise BadImage where an image could not be decoded; the text names the first."""
    if not features.bad:
        return
    row = min(features.bad)
    image = images[row]
    name = f"image {row + 1}" if isinstance(image, bytes) else f"'{display_path(str(image))}'"
    raise BadImage(
        f"{len(features.bad)} of {len(images)} images cannot be used, the first is {name}: "
        f"{features.bad[row]}. Expected images that can be decoded. Replace them, or leave them "
        "out."
    )


def _features(
    dataset: Dataset, prefix: Prefix, recipe: Recipe, deadline: float
) -> tuple[Dataset, Features]:
    """Features of all images that can be decoded, and the data set without the others."""
    rows: Rows = np.arange(len(dataset.paths))
    order = rows if deadline == math.inf else mixed_order(dataset.labels, recipe.seed)
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


def mixed_order(labels: Rows, seed: int) -> Rows:
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
        names = [" = ".join(dataset.shown(row) for row in rows) for rows in split.leaks[:5]]
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
