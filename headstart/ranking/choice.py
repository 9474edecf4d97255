"""`rank`: from labelled images to the backbone and image size that suit them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from headstart import progress
from headstart.backbones import list_backbones, weights_here
from headstart.backbones.hub import is_hub
from headstart.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.images import RESIZE_MODES
from headstart.learning import choose_prefix
from headstart.metrics import wilson_interval
from headstart.plan import end_of_features, times_of
from headstart.prefix import Prefix
from headstart.preparation import Prepared, data_warnings, mixed_order, prepare
from headstart.ranking.measure import images_per_second, memory_bytes, model_bytes
from headstart.ranking.race import STAGE, Choices, Examples, Race
from headstart.ranking.result import Ranked, Ranking
from headstart.recipe import AUTO, Recipe
from headstart.stopwatch import Stopwatch

SIZES = (160, 224, 320, 448)  # pixels
_AS_FAST = 0.9  # of the fastest counts as just as fast: speeds are measured
_AS_GOOD = 1.05  # times the loss of the best counts as good, where it is not more beyond chance
Rows = dict[Prefix, Ranked]
Recommend = Callable[[Race, Rows], tuple[Prefix, str]]


def rank(
    source: str | os.PathLike[str] | Dataset,
    recipe: Recipe | None = None,
    *,
    backbones: Sequence[str] | None = None,
    sizes: Sequence[int] | None = None,
    device: str = "auto",
    time_limit: float | None = None,
) -> Ranking:
    """Compare backbones and image sizes on the training part of labelled images.

    The split is that of `fit` with the same recipe; its validation and test parts are not looked
    at. Features are kept, so `fit` with what is recommended finds them.

    Args:
        source: As for `fit`.
        recipe: What is the same for all: resize, class weight, seed, precision, fractions.
        backbones: Names; those whose weights are here where it is left out.
        sizes: Heights and widths in pixels; 160, 224, 320 and 448 where it is left out.
        device: `auto`, `cpu` or `gpu`.
        time_limit: Seconds after which no more is tried; what is not done by then is listed as
            unfinished.

    Raises:
        DatasetError: The data cannot be used.
        HeadstartError: A backbone that does not exist or whose weights are not here, a size that no
            backbone takes, too few images, or no candidate done within the time limit.
    """
    recipe = recipe or Recipe()
    if recipe.resize == AUTO:
        recipe = replace(recipe, resize=RESIZE_MODES[0])
    watch = Stopwatch()
    deadline = math.inf if time_limit is None else times_of(time_limit, watch.start).deadline
    candidates = find_candidates(recipe, backbones, sizes, device)
    half = end_of_features(watch.start, deadline)
    prepared = prepare(source, candidates[0][1], candidates[0][0], half, watch)
    choices = Choices(recipe.resize, recipe.class_weight, recipe.seed, deadline, scores=True)
    race = new_race(prepared, choices, candidates[0][0])
    return compare(race, [prefix for prefix, _ in candidates], prepared, watch)[0]


def recommend(race: Race, rows: Rows) -> tuple[Prefix, str]:
    """The fastest of those that are as good as the best, and why.

    As good is a loss that is not higher beyond chance, and not by more than a twentieth.

    Raises:
        HeadstartError: None could be judged.
    """
    found = race.last
    if not found:
        raise _none_judged(race)
    best = min(found, key=lambda one: found[one].log_loss)
    most = _AS_GOOD * found[best].log_loss
    equal = [
        one
        for one in found
        if one is best or (found[one].log_loss <= most and not found[best].beats(found[one]))
    ]
    fastest = max(rows[one].images_per_second or 0.0 for one in equal)
    fast = [one for one in equal if (rows[one].images_per_second or 0.0) >= _AS_FAST * fastest]
    chosen = min(fast, key=lambda one: found[one].log_loss)
    row, top = rows[chosen], rows[best]
    what = f"{row.name}: cross-validated accuracy {row.accuracy:.3f}"
    if chosen is not best:
        times = (row.images_per_second or 0.0) / (top.images_per_second or np.inf)
        speed = f"{times:.1f} times as fast" if times else "cheaper"
        why = f"{top.name} ({top.accuracy:.3f}) is no better beyond chance, and this is {speed}"
    elif len(found) == 1:
        why = "no other came as far"
    elif len(equal) == 1:
        why = "better than all others of the last round"
    else:
        why = f"the best, and the fastest of {len(equal)} that are equal within chance"
    return chosen, f"{what}; {why}."


def compare(
    race: Race,
    candidates: Sequence[Prefix],
    prepared: Prepared,
    watch: Stopwatch,
    choose: Recommend = recommend,
) -> tuple[Ranking, Prefix]:
    """Let the candidates race on the training part; gives the recommended one, too.

    Raises:
        HeadstartError: As `choose`, which says what to do where none could be judged.
    """
    with watch.stage("rank"):
        race.run(candidates)
    with watch.stage("measure"), progress.stage("measure", len(candidates)) as stage:
        rows = {}
        for prefix in candidates:
            rows[prefix] = _row(prefix, race, race.choices.deadline)
            stage.advance()
    best, reason = choose(race, rows)
    ranking = Ranking(
        rows=tuple(sorted(rows.values(), key=_place)),
        best=rows[best],
        reason=reason,
        images=len(race.examples.labels),
        seconds=watch.result(),
        warnings=data_warnings(prepared),
    )
    return ranking, best


def _none_judged(race: Race) -> HeadstartError:
    if race.few:
        return HeadstartError(
            f"Too few images to rank by: {len(race.examples.labels)} to train on. Expected two of "
            "one class that are no copies of each other, besides those set aside to validate and "
            "test with. Add images."
        )
    return HeadstartError(
        "The time limit is over before one candidate was done. Expected time for a few seconds a "
        "candidate. Give more seconds, or fewer backbones and sizes."
    )


def find_candidates(
    recipe: Recipe, backbones: Sequence[str] | None, sizes: Sequence[int] | None, device: str
) -> list[tuple[Prefix, Recipe]]:
    """Every backbone at every size that it takes, the smallest size first.

    Raises:
        HeadstartError: None is left, or as `rank`.
    """
    known = list_backbones()
    names = backbones or [one.name for one in known if one.source != "seeded" and weights_here(one)]
    least = {one.name: one.least_size for one in known}
    found, pixels = [], sorted(set(sizes or SIZES))
    for size in pixels:
        for name in dict.fromkeys(names):
            asked = replace(recipe, backbone=name, image_size=size)
            if size < least.get(name, 0):
                why = f"{name} takes no less than {least[name]} pixels: not {size}"
            else:
                candidate = choose_prefix(asked, device)
                if not (why := _of_one_size(candidate[0], size)):
                    found.append(candidate)
            if why and sizes:
                progress.remark(STAGE, why)
    if not sizes:
        every = [
            choose_prefix(replace(recipe, backbone=one, image_size=None), device)
            for one in dict.fromkeys(names)
            if is_hub(one)
        ]
        done = {one.identity for one, _ in found}
        found += [one for one in every if one[0].identity not in done and _of_one_size(one[0], 0)]
    if not found:
        raise HeadstartError(
            f"None of {', '.join(names)} takes images of "
            f"{' or '.join(map(str, pixels))} pixels. Expected one that does. "
            "Give larger --sizes."
        )
    return found


def _of_one_size(prefix: Prefix, size: int) -> str:
    """Why a preset cannot take that size; "" where it can."""
    info = None if prefix.backbone is None else prefix.backbone.info
    if info is None or info.source != "hub" or info.any_size or size == info.image_size:
        return ""
    return f"{info.name} takes {info.image_size} pixels: not {size}"


def new_race(prepared: Prepared, choices: Choices, ready: Prefix | None = None) -> Race:
    """A race on the training part, which has not begun; `ready` made the features of all."""
    dataset, train = prepared.dataset, prepared.split.train
    rows = train[mixed_order(dataset.labels[train], choices.seed)]
    examples = Examples(
        [dataset.paths[row] for row in rows],
        dataset.labels[rows],
        prepared.groups[rows],
        len(dataset.class_names),
    )
    return Race(examples, choices, ready)


def _row(prefix: Prefix, race: Race, deadline: float) -> Ranked:
    """How far a candidate came, and what it costs; not measured where no time is left."""
    identity, backbone = prefix.identity, prefix.backbone
    top1 = None if backbone is None else backbone.info.top1
    done = [one[prefix] for one in race.rounds if prefix in one]
    status = race.status(prefix)
    row = Ranked(identity.backbone, identity.image_size[0], status, top1=top1)
    if not done:
        return row
    judged, first = done[-1], done[0]
    right, total = int(judged.held_out.right.sum()), len(judged.held_out.right)
    low, high = wilson_interval(right, total)
    row = replace(
        row,
        images=judged.images,
        accuracy=right / total,
        low=low,
        high=high,
        log_loss=judged.log_loss,
        h_score=first.h_score,
        log_me=first.log_me,
    )
    if time.monotonic() >= deadline:
        return row
    return replace(
        row,
        images_per_second=images_per_second(prefix),
        memory_bytes=memory_bytes(prefix) if race.choices.scores and status == "complete" else None,
        model_bytes=model_bytes(prefix),
    )


def _place(row: Ranked) -> tuple[int, float]:
    return -row.images, np.inf if row.log_loss is None else row.log_loss
