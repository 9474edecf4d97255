"""Every choice of one run in one place, checked before any work begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
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
        image_size: (height, width) in pixels, one number for a square, or None for the backbone's
            own size.
        resize: `squash`, `crop` or `pad`.
        head: `linear`, `mlp`, `prototype`, or `auto` by the number of images.
        class_weight: `balanced` counts every class alike, `none` every image; `auto` decides by the
            data.
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
        object.__setattr__(self, "image_size", _checked_size(self.image_size))
        if not _is_whole(self.seed, 0, 2**32 - 1):
            raise HeadstartError(
                f"The seed cannot be {self.seed!r}. Expected a whole number from 0 to 2^32 - 1."
            )
        _check_text("backbone", self.backbone, "a name such as 'efficientnet_lite0'")
        if self.weights is not None:
            _check_text("weights", self.weights, "'imagenet', the path of a file, or None")
        for name in ("validation_fraction", "test_fraction"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < 0.5:
                raise HeadstartError(
                    f"{name} cannot be {value!r}. Expected a number between 0 and 0.5."
                )

    @property
    def height_and_width(self) -> tuple[int, int] | None:
        """The image size in pixels, or None for the backbone's own."""
        return _checked_size(self.image_size)

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
            f"Unknown names in the recipe: {', '.join(unknown)}. Expected some of: "
            f"{', '.join(sorted(known))}."
        )
    return Recipe(**values)


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise HeadstartError(f"{name} cannot be {value!r}. Expected one of: {', '.join(allowed)}.")


def _check_text(name: str, value: object, expected: str) -> None:
    if not isinstance(value, str) or not value:
        raise HeadstartError(f"{name} cannot be {value!r}. Expected {expected}.")


def _is_whole(value: object, least: int, most: int) -> bool:
    """Whether it is a whole number in the range; True is an int for Python, and no number here."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _checked_size(image_size: object) -> tuple[int, int] | None:
    """The size as a pair; JSON has no tuples, so a list is one too."""
    if image_size is None:
        return None
    pair = image_size if isinstance(image_size, list | tuple) else (image_size, image_size)
    if len(pair) != 2 or not all(_is_whole(side, 1, LARGEST_SIZE) for side in pair):
        raise HeadstartError(
            f"The image size cannot be {image_size!r}. Expected a height and a width from 1 to "
            f"{LARGEST_SIZE} pixels."
        )
    return pair[0], pair[1]
