"""Every choice of one run in one place, checked before any work begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from headstart.engine import PRECISIONS
from headstart.errors import HeadstartError
from headstart.images import RESIZE_MODES

HEADS = ("auto", "linear", "mlp", "prototype")
CLASS_WEIGHTS = ("auto", "balanced", "none")
LARGEST_SIZE = 2048


@dataclass(frozen=True)
class Recipe:
    """The choices of one run; `Recipe()` is the default for any data.

    Attributes:
        backbone: A name of `list_backbones()`.
        weights: `imagenet`, the path of a weights file, or None for random weights.
        image_size: (height, width) in pixels, one number for a square, or None for the backbone's own size.
        resize: `squash`, `crop` or `pad`.
        head: `linear`, `mlp`, `prototype`, or `auto` by the number of images.
        class_weight: `balanced` counts every class alike, `none` every image; `auto` decides by the data.
        seed: Fixes the split and everything random.
        precision: `float32`, `bfloat16`, or `auto` by the processor.
        validation_fraction: The part of the images set aside to make choices, 0 < fraction < 0.5.
        test_fraction: The part set aside for the final figure, 0 < fraction < 0.5.

    Raises:
        HeadstartError: A choice that does not exist.
    """

    backbone: str = "efficientnet_lite0"
    weights: str | None = "imagenet"
    image_size: tuple[int, int] | int | None = None
    resize: str = "squash"
    head: str = "auto"
    class_weight: str = "auto"
    seed: int = 0
    precision: str = "auto"
    validation_fraction: float = 0.1
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        """Check every choice."""
        _one_of("resize", self.resize, RESIZE_MODES)
        _one_of("head", self.head, HEADS)
        _one_of("class_weight", self.class_weight, CLASS_WEIGHTS)
        _one_of("precision", self.precision, PRECISIONS)
        if isinstance(self.image_size, list | tuple):  # JSON has no tuples
            object.__setattr__(self, "image_size", tuple(self.image_size))
        elif self.image_size is not None:
            object.__setattr__(self, "image_size", (self.image_size, self.image_size))
        _check_size(self.image_size)
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise HeadstartError(
                f"The seed cannot be {self.seed!r}. Expected a whole number from 0 to 2^32 - 1."
            )
        for name in ("validation_fraction", "test_fraction"):
            value = getattr(self, name)
            if not 0 < value < 0.5:
                raise HeadstartError(
                    f"{name} cannot be {value}. Expected a number between 0 and 0.5."
                )

    def at_size(self, image_size: tuple[int, int]) -> Recipe:
        """The same recipe with the image size filled in."""
        return replace(self, image_size=image_size)

    def to_dict(self) -> dict[str, Any]:
        """The choices as JSON values."""
        values = asdict(self)
        if self.image_size is not None:
            values["image_size"] = list(values["image_size"])
        return values


def recipe_from_dict(values: Mapping[str, Any]) -> Recipe:
    """Read a recipe as `Recipe.to_dict` writes it.

    Raises:
        HeadstartError: An unknown name or a choice that does not exist.
    """
    known = {field.name for field in fields(Recipe)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise HeadstartError(
            f"Unknown names in the recipe: {', '.join(unknown)}. Expected some of: {', '.join(sorted(known))}."
        )
    return Recipe(**values)


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise HeadstartError(f"{name} cannot be {value!r}. Expected one of: {', '.join(allowed)}.")


def _check_size(image_size: object) -> None:
    if image_size is None:
        return
    good = isinstance(image_size, tuple) and len(image_size) == 2
    if not good or not all(
        isinstance(side, int) and 1 <= side <= LARGEST_SIZE for side in image_size
    ):  # type: ignore[attr-defined]
        raise HeadstartError(
            f"The image size cannot be {image_size}. Expected a height and a width from 1 to {LARGEST_SIZE} pixels."
        )
