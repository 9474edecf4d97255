"""What fine-tuning reads: features at a cut, kept for all images and for views of those to learn.

How much that will be is told before; where it would not fit, the cut moves, fewer views are kept,
or the images go through the whole network anew in each epoch, and the run says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import progress
from headstart.cache import entries, limit, room
from headstart.cut import Cut, CutPoint
from headstart.depth import Depth, kept_bytes, place_for, split_at, takes_images
from headstart.errors import HeadstartError
from headstart.features import PLAIN, Features, Views, extract
from headstart.features.extraction import Source
from headstart.finetune.inputs import ImageInputs, Inputs, KeptInputs
from headstart.finetune.loop import Limits
from headstart.prefix import Prefix, cut_prefix

Rows = npt.NDArray[np.int64]
Parts = dict[str, list[Source]]
STAGE = "fine-tune"


@dataclass(frozen=True, eq=False)
class Kept:
    """A cut network with what enters its suffix.

    Attributes:
        cut: Where the network is split.
        prefix: What lies before.
        features: At the cut, of each part (train, validation, test); of the training part with its
            views. Empty where images are decoded anew.
        train: What is learned from.
        validation: What is validated on.
        size: Bytes on the disk, about.
    """

    cut: Cut
    prefix: Prefix
    features: dict[str, Features]
    train: Inputs
    validation: Inputs
    size: int


class OutOfTime(Exception):
    """The time limit, or Ctrl-C, came before all features at the cut were there."""


@dataclass(frozen=True)
class Wanted:
    """The images by part, the resize mode, and which views of the training part."""

    parts: Parts
    resize: str
    views: Views

    @property
    def records(self) -> int:
        """How many records will be kept."""
        images = sum(map(len, self.parts.values()))
        return images + len(self.parts["train"]) * self.views.count

    def with_views(self, count: int) -> Wanted:
        """The same with fewer views of each image."""
        return replace(self, views=replace(self.views, count=count) if count else PLAIN)


@dataclass(frozen=True, eq=False)
class Place:
    """Where a network is cut, and what will be kept there."""

    cut: Cut
    prefix: Prefix
    wanted: Wanted
    image_size: tuple[int, int]

    @property
    def keeps(self) -> bool:
        """Whether anything is kept; else the suffix is the whole network and takes images."""
        return not takes_images(self.cut)

    @property
    def size(self) -> int:
        """Bytes on the disk, about."""
        return self.wanted.records * kept_bytes(self.cut.point) if self.keeps else 0


def find_place(whole: Prefix, model: Any, depth: Depth, wanted: Wanted) -> Place:
    """Where to cut, and how many views there is room for.

    Args:
        whole: The frozen network.
        model: The same as a Keras model.
        depth: What is to learn.
        wanted: Of which images features are to be kept, and which views.
    """
    point, wanted = _fitting(whole, depth, wanted)
    cut, prefix = split_at(model, depth, point), cut_prefix(whole, point)
    return Place(cut, prefix, wanted, whole.identity.image_size)


def keep(place: Place, limits: Limits) -> Kept:
    """Make what is missing of the features at a cut.

    Raises:
        OutOfTime: The time was over before; what was made stays kept.
    """
    cut, prefix, wanted = place.cut, place.prefix, place.wanted
    if not place.keeps:
        decoded = [
            ImageInputs(images, place.image_size, wanted.resize, augmentation)
            for images, augmentation in (
                (wanted.parts["train"], wanted.views.augmentation),
                (wanted.parts["validation"], PLAIN.augmentation),
            )
        ]
        return Kept(cut, prefix, {}, decoded[0], decoded[1], 0)
    shape = " x ".join(map(str, prefix.shape))
    count = f"{place.size / 1e6:,.0f} MB for {wanted.records:,}"
    progress.remark(STAGE, f"features at {cut.point.layer} ({shape}): {count}")
    features = {}
    for part, images in wanted.parts.items():
        views = wanted.views if part == "train" else PLAIN
        features[part] = keep_images(place, images, views, limits)
    inputs = {part: KeptInputs(found, prefix.shape) for part, found in features.items()}
    return Kept(cut, prefix, features, inputs["train"], inputs["validation"], place.size)


def keep_images(place: Place, images: list[Source], views: Views, limits: Limits) -> Features:
    """Make what is missing of the features of some images at a cut.

    Raises:
        OutOfTime: As `keep`.
    """
    found = extract(
        images,
        place.prefix,
        resize=place.wanted.resize,
        deadline=limits.deadline,
        views=views,
        asked=limits.asked,
    )
    _check(found)
    return found


def _fitting(whole: Prefix, depth: Depth, wanted: Wanted) -> tuple[CutPoint, Wanted]:
    """A place to cut and as many views as there is room for."""
    space, views = _space(whole, depth), wanted.views.count
    for count in dict.fromkeys((views, views // 2, min(1, views), 0)):
        fewer = wanted.with_views(count)
        place = place_for(depth, space / max(1, fewer.records))
        if place is not None:
            if count != views:
                progress.remark(
                    STAGE, f"room for {count} of {views} views of each image within the cache limit"
                )
            return place, fewer
    progress.remark(STAGE, "no room to keep features: images go through the whole network anew")
    return depth.places[-1], wanted


def _space(whole: Prefix, depth: Depth) -> int:
    """Bytes that may be kept; what an earlier run has kept already is no reason to keep less."""
    best = place_for(depth, math.inf)
    assert best is not None
    name = cut_prefix(whole, best).identity.here().key
    kept = sum(one.size for one in entries() if (one.kind, one.name) == ("features", name))
    return min(limit(), room() + kept)


def _check(found: Features) -> None:
    if found.unreached:
        raise OutOfTime
    if found.bad:
        reason = next(iter(found.bad.values()))
        raise HeadstartError(
            f"{len(found.bad)} images that could be read a moment ago cannot be read any more: "
            f"{reason}. Expected images that stay as they are while a run lasts. Run it again."
        )
