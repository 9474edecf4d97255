"""What `fit` finds out before anything is trained: backbone, image size and resize mode.

All of it on some of the training images, within a part of the time. The image size is also a
matter of time: fine-tuning takes away more of the loss than a larger size does, as long as there is
time for it at that size.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headstart.backbones import BackboneInfo
from headstart.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.finetune import chosen_views
from headstart.images import RESIZE_MODES
from headstart.learning import choose_prefix
from headstart.plan import (
    FEWEST_EPOCHS,
    Times,
    Work,
    end_of_choosing,
    expected_gain,
    images_to_choose_by,
)
from headstart.prefix import Prefix
from headstart.preparation import Prepared, prepare, prepare_again
from headstart.ranking import choice
from headstart.ranking.memory import Memory, memory_of
from headstart.ranking.race import Choices, Judged, Race
from headstart.ranking.shapes import is_varied, worth_trying
from headstart.recipe import AUTO, OWN, Recipe
from headstart.scan import encodable
from headstart.stopwatch import Stopwatch

_WORTH = 0.95  # of the loss of the best frozen network: expect no more, or keep that
_SCALES = (5 / 7, 1, 10 / 7, 16 / 7)  # of the size that a backbone was trained at: 160 to 512
_LARGEST = 640  # pixels, or what its weights were trained for


@dataclass(frozen=True, eq=False)
class Chosen:
    """A network that was found, the recipe with it filled in, and its features of the data.

    `details` tell how it was found, as JSON values; `memory` holds them until the run is done.
    """

    prefix: Prefix
    recipe: Recipe
    prepared: Prepared
    details: dict[str, Any]
    memory: Memory


def choose_network(
    dataset: Dataset,
    recipe: Recipe,
    candidates: Sequence[tuple[Prefix, Recipe]],
    times: Times,
    watch: Stopwatch,
) -> Chosen:
    """Find what a recipe leaves open of backbone, image size and resize mode.

    The split is made once: the test part has no say, whatever is chosen.

    Args:
        dataset: The labelled images.
        recipe: What it says of the rest holds.
        candidates: As `candidates_of` gives them.
        times: When to be done.
        watch: Counts the seconds.

    Raises:
        DatasetError, HeadstartError: As `rank`.
    """
    first = next((one for one in candidates if _is_own_size(one[0])), candidates[0])
    prepared = prepare(dataset, first[1], first[0], times.deadline, watch)
    digests = [prepared.features.digests[row] for row in prepared.split.train]
    memory = memory_of(recipe, times.until - watch.start, digests)
    details = memory.read()
    found = None if details is None else _named(candidates, details)
    if details is None or found is None:
        prefixes = [first[0], *(prefix for prefix, _ in candidates if prefix is not first[0])]
        details = _compare(recipe, prepared, prefixes, times, watch)
        found = _named(candidates, details)
        assert found is not None
        memory.write(details)
    prefix, filled = found
    if recipe.resize == AUTO:
        filled = replace(filled, resize=details["resize"]["best"])
    if (prefix, filled.resize) != (first[0], first[1].resize):
        prepared = prepare_again(prepared, filled, prefix, times.deadline, watch)
    return Chosen(prefix, filled, prepared, details, memory)


def _compare(
    recipe: Recipe, prepared: Prepared, candidates: list[Prefix], times: Times, watch: Stopwatch
) -> dict[str, Any]:
    """Let candidates race, the first of which made the features that are there; the details."""
    choices = Choices(
        prepared.features.resize,
        recipe.class_weight,
        recipe.seed,
        end_of_choosing(time.monotonic(), times),
        images_to_choose_by(times.until - watch.start),
    )
    race = choice.new_race(prepared, choices, candidates[0])
    if recipe.image_size == AUTO:
        candidates = worth_trying(candidates, race.examples.shapes)
    planned = _Planned(recipe, prepared, times.until)
    ranking, prefix = choice.compare(race, candidates, prepared, watch, planned.recommend)
    details = ranking.to_dict()
    if recipe.resize == AUTO:
        with watch.stage("rank"):
            most = max((judged.images for judged in race.last.values()), default=0)
            details["resize"] = choose_resize(race, prefix, most)
    return details


def _named(
    candidates: Sequence[tuple[Prefix, Recipe]], details: Mapping[str, Any]
) -> tuple[Prefix, Recipe] | None:
    """The candidate that the details say is best."""
    best = details["best"]
    for prefix, recipe in candidates:
        named = encodable(recipe.backbone), prefix.identity.image_size[0]
        if named == (best["backbone"], best["image_size"]):
            return prefix, recipe
    return None


def candidates_of(recipe: Recipe, device: str) -> list[tuple[Prefix, Recipe]]:
    """The networks that a recipe leaves open, each with the recipe that names it, no weights read.

    The resize mode is the first to be tried, where it is open, too.

    Raises:
        HeadstartError: None is left, or a choice that does not exist.
    """
    if recipe.resize == AUTO:
        recipe = replace(recipe, resize=RESIZE_MODES[0])
    if recipe.backbone == AUTO:
        return choice.find_candidates(recipe, None, _square(recipe), device)
    if recipe.image_size != AUTO:
        return [choose_prefix(recipe, device)]
    own = choose_prefix(replace(recipe, image_size=None), device)
    backbone = own[0].backbone
    sizes = () if backbone is None else sizes_of(backbone.info)
    if not sizes:
        return [own]
    return choice.find_candidates(recipe, [recipe.backbone], sizes, device)


def _is_own_size(prefix: Prefix) -> bool:
    """Whether the backbone was trained at that size, which is then looked at first."""
    own = None if prefix.backbone is None else prefix.backbone.info.image_size
    return prefix.identity.image_size == (own, own)


def _is_small(prefix: Prefix) -> bool:
    """Whether the backbone was trained at a larger size; it is better fine-tuned at that."""
    own = 0 if prefix.backbone is None else prefix.backbone.info.image_size
    return min(prefix.identity.image_size) < own


def _square(recipe: Recipe) -> list[int] | None:
    """The one size to try, or None where it is to be found out."""
    if recipe.image_size == AUTO:
        return None
    height, width = recipe.height_and_width or (0, 1)  # a backbone's own is not one for all
    if height != width:
        raise HeadstartError(
            "The backbone cannot be found out with the image size "
            f"{recipe.image_size or repr(OWN)}. Expected a square for all, or 'auto'. Give one "
            "number, or --image-size auto."
        )
    return [height]


def sizes_of(info: BackboneInfo) -> list[int]:
    """The image sizes that are tried of one backbone; none where only its own is sure to work."""
    if not info.any_size:
        return []
    sizes = [round(info.image_size * scale) for scale in _SCALES]
    most = max(_LARGEST, info.image_size)
    return [size for size in sizes if info.least_size <= size <= most]


@dataclass(frozen=True, eq=False)
class _Planned:
    """Recommends a network for a run that fine-tunes where there is time for it."""

    recipe: Recipe
    prepared: Prepared
    until: float

    def recommend(self, race: Race, rows: choice.Rows) -> tuple[Prefix, str]:
        """The network from which the lowest loss is expected in the time that is left."""
        if not race.last:
            first = next(iter(rows))
            return first, f"{rows[first].name}: {_nothing_by(race)}."
        best, reason = choice.recommend(race, rows)
        gain, losses = self._gain(), race.losses()
        if not gain:
            return best, reason
        left = self.until - time.monotonic()
        fits = [one for one in losses if not _is_small(one) and self._seconds(one, rows) <= left]
        if not fits:
            return best, reason
        tuned = min(fits, key=lambda one: losses[one])
        if tuned is best or losses[tuned] * (1 - gain) > _WORTH * losses[best]:
            return best, reason
        row, other = rows[tuned], rows[best]
        return tuned, (
            f"{row.name}: cross-validated accuracy {row.accuracy:.3f}; there is time to fine-tune "
            f"it, which is expected to take away {gain:.0%} of its loss, and none for {other.name} "
            f"({other.accuracy:.3f})."
        )

    def _gain(self) -> float:
        if self.recipe.unfreeze == 0:
            return 0.0
        split = self.prepared.split
        return expected_gain(len(split.train), len(split.validation))

    def _seconds(self, prefix: Prefix, rows: choice.Rows) -> float:
        """That fine-tuning takes."""
        speed = rows[prefix].images_per_second
        if not speed:
            return math.inf
        split = self.prepared.split
        views = chosen_views(self.recipe).count
        work = Work(len(self.prepared.dataset.paths), len(split.train), views)
        epochs = self.recipe.tuning.epochs or FEWEST_EPOCHS
        return work.seconds(speed, prefix.identity.precision, epochs)


def _nothing_by(race: Race) -> str:
    """Why none of its candidates was judged."""
    return "too few images to compare others by" if race.few else "no time to compare others"


def choose_resize(race: Race, prefix: Prefix, images: int) -> dict[str, Any]:
    """Which resize mode suits the images at a network's size; what was tried, as JSON values.

    Where nearly all images have the shape that the network takes, all modes give the same.

    Args:
        race: Its images, and the resize mode that is the usual one.
        prefix: The network.
        images: How many of the race's images the modes are judged by; 0 where none could be.
    """
    begin, used = time.monotonic(), race.choices.resize
    if not images:
        return {"best": used, "reason": _nothing_by(race), "tried": [], "seconds": 0.0}
    height, width = prefix.identity.image_size
    if not is_varied(race.examples.shapes, width / height):
        reason = "nearly all images have about the shape that the network takes"
        return {"best": used, "reason": reason, "tried": [], "seconds": 0.0}
    found: dict[str, Judged] = {}
    for mode in (used, *(one for one in RESIZE_MODES if one != used)):
        other = Race(race.examples, replace(race.choices, resize=mode))
        judged = other.judge(prefix, images)
        if judged is not None:
            found[mode] = judged
    if used not in found:
        return {"best": used, "reason": "no time to try others", "tried": [], "seconds": 0.0}
    better = [one for one in found if found[one].beats(found[used])]
    best = min(better, key=lambda one: found[one].log_loss, default=used)
    reason = f"better than {used} beyond chance" if better else "no other is better beyond chance"
    tried = [
        {
            "resize": mode,
            "accuracy": float(judged.held_out.right.mean()),
            "log_loss": judged.log_loss,
            "images": judged.images,
        }
        for mode, judged in found.items()
    ]
    seconds = round(time.monotonic() - begin, 3)
    return {"best": best, "reason": reason, "tried": tried, "seconds": seconds}
