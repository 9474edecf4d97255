"""From labelled images to a classifier and an honest result: the only module that knows the order.

read -> features (decode and frozen network, kept) -> split -> check-up -> head -> fine-tuning,
where it is asked for -> evaluation -> bundle.
"""

from __future__ import annotations

import functools
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import bundle, progress
from headstart.asked import as_recipe
from headstart.card import model_card
from headstart.checkup import CheckUp, examine
from headstart.classifier import Classifier
from headstart.crossvalidation import CrossValidation, check_folds, cross_validate_prepared
from headstart.dataset import Dataset
from headstart.evaluation import Evaluation, evaluate
from headstart.explanation import overlaid
from headstart.images import decode, read_bytes
from headstart.learning import Learned, learn
from headstart.plan import Times, times_of
from headstart.preparation import Prepared, data_warnings, prepare, read
from headstart.ranking.network import candidates_of, choose_network
from headstart.recipe import Recipe
from headstart.reporting import ReportedPart, with_report
from headstart.run import Run
from headstart.seen import fingerprint, seen_digests
from headstart.stopwatch import Stopwatch
from headstart.trust import Answered, answer_part, measure_trust, with_thresholds
from headstart.unfreezing import with_depth

_CHECK_UP = 0.1  # of the time that is left, at most


def fit(
    source: str | os.PathLike[str] | Dataset,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    device: str = "auto",
    time_limit: float | None = None,
    folds: int | None = None,
) -> Run:
    """Train a classifier from labelled images.

    Args:
        source: A folder with one folder a class, a folder with train/validation/test folders, a CSV
            file, a zip of any of these, or what `read_dataset` gave.
        recipe: The choices; `Recipe()` where it is left out. A path or a name is read, as by
            `read_recipe`.
        out: Where to save the bundle; None saves nothing.
        device: `auto`, `cpu` or `gpu`.
        time_limit: Seconds. What the recipe leaves open is chosen so that the run ends by then.
            Images not reached are left out, and listed; fine-tuning stops. Running again goes on
            from there. Without it, what is left open is planned for 60 seconds and 3 for every 100
            images, and nothing is left out.
        folds: Cross-validate the head on the frozen features of all images as well, in so many
            folds: for small sets, whose test part is too small to tell much.

    Raises:
        DatasetError: The data cannot be used.
        HeadstartError: A choice that does not exist, weights that are not here, a place that cannot
            be written.
    """
    recipe = as_recipe(recipe, Recipe())
    watch = Stopwatch()
    times_of(time_limit, watch.start)  # a wrong limit is told before any work
    if folds is not None:
        check_folds(folds)
    if out is not None:
        bundle.check_target(Path(out))
    candidates, memory = with_depth(candidates_of(recipe, device)), None
    dataset = read(source, watch)
    times = times_of(time_limit, watch.start, len(dataset.paths))
    if recipe.chooses:
        found = choose_network(dataset, recipe, candidates, times, watch)
        prefix, recipe, prepared = found.prefix, found.recipe, found.prepared
        choice, memory = found.details, found.memory
    else:
        ((prefix, recipe),) = candidates
        prepared, choice = prepare(dataset, recipe, prefix, times.deadline, watch), None
    checkup = _check_up(prepared, prefix.identity.image_size, recipe.seed, times, watch)
    learned = learn(prepared.material, prefix, recipe, times, watch)
    validated = _cross_validated(prepared, learned.recipe, folds, watch)
    run = _finish(prepared, checkup, replace(learned, choice=choice), watch, validated)
    if out is not None:
        with watch.stage("save"), progress.stage("save"):
            path = run.save(out)
        run = replace(run, bundle=path, seconds=watch.result())
    learned.remove_checkpoints()
    if memory is not None and not run.interrupted:
        memory.remove()
    return run


def _cross_validated(
    prepared: Prepared, recipe: Recipe, folds: int | None, watch: Stopwatch
) -> CrossValidation | None:
    if folds is None:
        return None
    with watch.stage("cross-validate"):
        return cross_validate_prepared(prepared, recipe, folds)


def _check_up(
    prepared: Prepared, image_size: tuple[int, int], seed: int, times: Times, watch: Stopwatch
) -> CheckUp:
    """Look for what is wrong with the images, in a tenth of the time that is left."""
    with watch.stage("check-up"):
        now = time.monotonic()
        deadline = now + _CHECK_UP * max(0.0, times.until - now)
        return examine(prepared, min(image_size), Stopwatch(), seed=seed, deadline=deadline)


def _finish(
    prepared: Prepared,
    checkup: CheckUp,
    learned: Learned,
    watch: Stopwatch,
    validated: CrossValidation | None,
) -> Run:
    dataset, parts = prepared.dataset, learned.material.parts
    with watch.stage("evaluate"), progress.stage("evaluate"):
        answered, evaluations = _evaluated(prepared, learned)
    test = evaluations["test"]
    with watch.stage("trust"), progress.stage("trust"):
        classifier = with_thresholds(prepared, learned, answered)
        trust = measure_trust(prepared, learned, classifier, answered["test"], test)
    contents = _contents(prepared, learned, evaluations, trust, answered["test"])
    if validated is not None:
        contents.metrics["cross_validation"] = validated.to_dict()
    run = Run(
        classifier=classifier,
        evaluation=test,
        validation=evaluations["validation"],
        train=evaluations["train"],
        recipe=learned.recipe,
        head=learned.fitted.details,
        choice=learned.choice,
        fine_tuning=None if learned.tuned is None else learned.tuned.details,
        files={part: _listed(dataset, rows) for part, rows in parts.items()},
        skipped=dataset.problems,
        warnings=data_warnings(prepared),
        checkup=checkup,
        seconds=watch.result(),
        bundle=None,
        computed=prepared.features.computed,
        contents=replace(contents, checkup=checkup.to_dict()),
        cross_validation=validated,
        probabilities=answered["test"].probabilities,
    )
    return with_report(run, _tested(prepared, classifier, answered["test"]))


def _tested(prepared: Prepared, classifier: Classifier, test: Answered) -> ReportedPart:
    """What the report shows of the test part; its maps are made when the run is saved."""
    return ReportedPart(
        root=prepared.dataset.root,
        probabilities=test.probabilities,
        leaks=sum(map(len, prepared.split.leaks)),
        explain=functools.partial(overlaid, classifier),
    )


def _evaluated(
    prepared: Prepared, learned: Learned
) -> tuple[dict[str, Answered], dict[str, Evaluation]]:
    """The answers to each part, and how good they are."""
    dataset = prepared.dataset
    classifier = learned.classifier(dataset.class_names)
    parts, train_labels = learned.material.parts, dataset.labels[prepared.split.train]
    answered = {part: answer_part(learned, classifier, part) for part in parts}
    evaluations = {
        part: evaluate(
            answered[part].probabilities,
            dataset.labels[rows],
            dataset.class_names,
            train_labels=train_labels,
        )
        for part, rows in parts.items()
    }
    return answered, evaluations


def _listed(dataset: Dataset, rows: npt.NDArray[np.int64]) -> tuple[tuple[Path, str], ...]:
    return tuple((dataset.paths[row], dataset.class_names[dataset.labels[row]]) for row in rows)


def _contents(
    prepared: Prepared,
    learned: Learned,
    evaluations: dict[str, Evaluation],
    trust: dict[str, Any],
    test: Answered,
) -> bundle.Contents:
    dataset, split, digests = prepared.dataset, prepared.split, prepared.features.digests
    names = [dataset.class_names[label] for label in dataset.labels]
    size = learned.prefix.identity.image_size
    example = decode(read_bytes(dataset.paths[int(split.test[0])]), size, learned.recipe.resize)
    seen = np.concatenate([split.train, split.validation])
    data: dict[str, Any] = {
        "name": dataset.name,
        "fingerprint": fingerprint(list(digests), names),
        "images": {part: len(rows) for part, rows in learned.material.parts.items()},
        "skipped": len(dataset.problems),
    }
    backbone = learned.prefix.backbone
    info = None if backbone is None else backbone.info
    return bundle.Contents(
        recipe=learned.recipe,
        data=data,
        metrics={**{name: one.to_dict() for name, one in evaluations.items()}, "trust": trust},
        card=model_card(dataset, learned.recipe, evaluations["test"], data, info),
        example=example.pixels,
        expected={
            name: float(value)
            for name, value in zip(dataset.class_names, test.probabilities[0], strict=True)
        },
        seen=seen_digests([digests[index] for index in seen]),
        fine_tuning=None if learned.tuned is None else learned.tuned.details,
        choice=learned.choice,
    )
