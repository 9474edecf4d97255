"""From labelled images to a classifier and an honest result: the only module that knows the order.

read -> features (decode and frozen network, kept) -> split -> head -> evaluation -> bundle.
Features come before the split because copies of one image are found by what the decoder saw, and
must stay on one side.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart import bundle, progress
from headstart.backbones import load_backbone
from headstart.cache import make_room
from headstart.card import model_card
from headstart.classifier import Classifier
from headstart.copies import copy_groups
from headstart.dataset import Dataset, drop, read_dataset
from headstart.engine import choose_engine, resolve_precision
from headstart.errors import DatasetError, HeadstartError
from headstart.evaluation import Evaluation, evaluate
from headstart.features import Features, extract
from headstart.heads import HeadFit, TrainingData, choose_head, fit_head
from headstart.images import decode, read_bytes
from headstart.prefix import Prefix, make_prefix
from headstart.recipe import Recipe
from headstart.run import Run
from headstart.scan import display_path
from headstart.split import Split, make_split

Rows = npt.NDArray[np.int64]
# Seconds of a time limit kept for head, evaluation and bundle, besides a tenth of it.
_RESERVE = 1.5


class _Clock:
    """Seconds a stage."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begin

    def result(self) -> dict[str, float]:
        rounded = {name: round(value, 3) for name, value in self.seconds.items()}
        return {"total": round(time.monotonic() - self.start, 3), **rounded}


def fit(
    source: str | os.PathLike[str],
    recipe: Recipe | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    device: str = "auto",
    time_limit: float | None = None,
) -> Run:
    """Train a classifier from labelled images, by feature extraction.

    Args:
        source: A folder with one folder a class, a folder with train/validation/test folders, a CSV
            file, or a zip of any of these.
        recipe: The choices; `Recipe()` where it is left out.
        out: Where to save the bundle; None saves nothing.
        device: `auto`, `cpu` or `gpu`.
        time_limit: Seconds after which no more features are made; the images not reached are left
            out, and listed. Running again goes on where it stopped.

    Raises:
        DatasetError: The data cannot be used.
        HeadstartError: A choice that does not exist, weights that are not here, a place that cannot
            be written.
    """
    recipe = recipe or Recipe()
    if time_limit is not None and not time_limit > 0:
        raise HeadstartError(
            f"The time limit cannot be {time_limit}. Expected seconds, more than 0."
        )
    if out is not None:
        bundle.check_target(Path(out))
    clock = _Clock()
    deadline = math.inf if time_limit is None else clock.start + time_limit * 0.9 - _RESERVE
    prefix, recipe = _prefix(recipe, device)
    with clock.stage("read"), progress.stage("read"):
        dataset = read_dataset(source)
    with clock.stage("features"):
        make_room(keep=prefix.identity.key)
        dataset, features = _features(dataset, prefix, recipe, deadline)
    with clock.stage("split"):
        groups = copy_groups(features.digests, features.thumbnails)
        fractions = {
            "validation_fraction": recipe.validation_fraction,
            "test_fraction": recipe.test_fraction,
        }
        split = make_split(dataset.labels, dataset.parts, groups, seed=recipe.seed, **fractions)
    return _finish(_State(dataset, features, split, groups, prefix, recipe), clock, out)


@dataclass(frozen=True)
class _State:
    """A data set with features and split, ready for a head."""

    dataset: Dataset
    features: Features
    split: Split
    groups: Rows
    prefix: Prefix
    recipe: Recipe


def _prefix(recipe: Recipe, device: str) -> tuple[Prefix, Recipe]:
    engine = choose_engine(device)
    precision = resolve_precision(recipe.precision, engine)
    backbone = load_backbone(recipe.backbone, weights=recipe.weights)
    image_size = recipe.height_and_width or (backbone.info.image_size, backbone.info.image_size)
    recipe = replace(
        recipe, backbone=backbone.info.name, image_size=image_size, precision=precision
    )
    return make_prefix(backbone, image_size, engine, precision), recipe


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


def _finish(state: _State, clock: _Clock, out: str | os.PathLike[str] | None) -> Run:
    dataset, features, split = state.dataset, state.features, state.split
    labels = dataset.labels
    _check_parts(split)
    with clock.stage("head"):
        fitted = _fit_head(state)
        chosen = {"head": fitted.head.kind, "class_weight": fitted.details["class_weight"]}
        state = replace(state, recipe=replace(state.recipe, **chosen))
    with clock.stage("evaluate"), progress.stage("evaluate"):
        parts = {"train": split.train, "validation": split.validation, "test": split.test}
        evaluations, probabilities = {}, np.empty((0, 0), np.float32)
        for name, rows in parts.items():
            probabilities = fitted.head.probabilities(features.matrix(rows))
            evaluations[name] = evaluate(
                probabilities, labels[rows], dataset.class_names, train_labels=labels[split.train]
            )
    classifier = Classifier(dataset.class_names, state.prefix, fitted.head, state.recipe.resize)
    run = Run(
        classifier=classifier,
        evaluation=evaluations["test"],
        validation=evaluations["validation"],
        train=evaluations["train"],
        recipe=state.recipe,
        head=fitted.details,
        files={name: _listed(dataset, rows) for name, rows in parts.items()},
        skipped=dataset.problems,
        warnings=_warnings(state),
        seconds=clock.result(),
        bundle=None,
        computed=features.computed,
        contents=_contents(state, evaluations, probabilities),
    )
    if out is None:
        return run
    with clock.stage("save"), progress.stage("save"):
        path = run.save(out)
    return replace(run, bundle=path, seconds=clock.result())


def _check_parts(split: Split) -> None:
    if not len(split.train) or not len(split.test):
        raise DatasetError(
            f"Too few images: {len(split.train)} to train on and {len(split.test)} to test on. "
            "Expected at least two of each class. Add images."
        )


def _listed(dataset: Dataset, rows: Rows) -> tuple[tuple[Path, str], ...]:
    return tuple((dataset.paths[row], dataset.class_names[dataset.labels[row]]) for row in rows)


def _fit_head(state: _State) -> HeadFit:
    labels, split, features = state.dataset.labels, state.split, state.features
    counts = np.bincount(labels[split.train], minlength=len(state.dataset.class_names))
    kind = choose_head(counts) if state.recipe.head == "auto" else state.recipe.head
    data = TrainingData(
        features=features.matrix(split.train),
        labels=labels[split.train],
        num_classes=len(state.dataset.class_names),
        validation_features=features.matrix(split.validation),
        validation_labels=labels[split.validation],
        groups=state.groups[split.train],
    )
    return fit_head(kind, data, seed=state.recipe.seed, class_weight=state.recipe.class_weight)


def _warnings(state: _State) -> tuple[str, ...]:
    dataset, split = state.dataset, state.split
    warnings = list(dataset.notes)
    if split.leaks:
        count = sum(map(len, split.leaks))
        names = [" = ".join(_name(dataset, row) for row in rows) for rows in split.leaks[:5]]
        warnings.append(
            f"{count} images have a copy on another side of the given split, which makes the "
            f"result look better than it is: {'; '.join(names)}"
        )
    groups = state.groups
    size = np.bincount(groups)[groups]
    if (size > 1).any():
        warnings.append(
            f"{int((size > 1).sum())} images are copies or near-copies of another; where headstart "
            "made the split, copies stay on one side"
        )
    return tuple(warnings)


def _name(dataset: Dataset, row: int) -> str:
    return display_path(os.path.relpath(dataset.paths[row], dataset.root))


def _contents(
    state: _State, evaluations: dict[str, Evaluation], probabilities: npt.NDArray[np.float32]
) -> bundle.Contents:
    dataset, split, digests = state.dataset, state.split, state.features.digests
    names = [dataset.class_names[label] for label in dataset.labels]
    row = int(split.test[0])
    example = decode(
        read_bytes(dataset.paths[row]), state.prefix.identity.image_size, state.recipe.resize
    )
    seen = np.concatenate([split.train, split.validation])
    data = {
        "name": dataset.name,
        "fingerprint": bundle.fingerprint(list(digests), names),
        "images": {
            "train": len(split.train),
            "validation": len(split.validation),
            "test": len(split.test),
        },
        "skipped": len(dataset.problems),
    }
    metrics = {name: one.to_dict() for name, one in evaluations.items()}
    return bundle.Contents(
        recipe=state.recipe.to_dict(),
        data=data,
        metrics=metrics,
        card=model_card(dataset, state.recipe, evaluations["test"], data),
        example=example.pixels,
        expected={
            name: float(value)
            for name, value in zip(dataset.class_names, probabilities[0], strict=True)
        },
        seen=bundle.seen_digests([digests[index] for index in seen]),
    )
