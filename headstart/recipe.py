"""Every choice of one run in one place, checked before any work begins."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from headstart.backbones.own_pixels import CHOICES as PREPROCESSINGS
from headstart.engine import PRECISIONS
from headstart.errors import HeadstartError
from headstart.images import RESIZE_MODES
from headstart.scan import encodable
from headstart.tuning import Tuning, check_names, tuning_from_dict

HEADS = ("auto", "linear", "mlp", "prototype")
CLASS_WEIGHTS = ("auto", "balanced", "none")
RESIZES = ("auto", *RESIZE_MODES)
AUGMENTS = ("auto", "none", "light", "strong")
AUTO = "auto"
IMAGENET = "imagenet"
OWN = "own"
LARGEST_SIZE = 2048
MOST_VIEWS = 12  # that a prediction can be averaged over


@dataclass(frozen=True)
class Recipe:
    """The choices of one run; `Recipe()` is the default for any data.

    Attributes:
        backbone: A name of `list_backbones()`, the path of a Keras model of one's own, `hub:` and a
            preset of KerasHub, or `auto`: of those whose weights are here the one that suits the
            images, as `rank` finds it.
        weights: `imagenet`, the path of a weights file, or None for random weights.
        preprocessing: Of a model of one's own: `inside`, `tf`, `unit`, `caffe`, `torch`, or `auto`,
            which finds it out.
        image_size: (height, width) in pixels, one number for a square, None or `own` for the size
            that the backbone's weights were trained at, or `auto`: from 0.7 to 2.3 times that, as
            suits the images and the time.
        resize: `squash`, `crop` or `pad`, or `auto`: what suits the images, as `rank` finds it.
        head: `linear`, `mlp`, `prototype`, or `auto` by the number of images.
        head_epochs: Epochs of the mlp head, all of them; None stops by the validation loss.
        unfreeze: How much of the backbone is fine-tuned after the head: 0 nothing; a number, that
            many layers from its end; `block`, its last block; the name of a layer or the beginning
            of several (`block6`), from there on; `all`; or `auto`, as deep as validation and time
            allow.
        augment: What random views of the images are trained on: `none`, `light` (mirror images,
            crops, brightness), `strong`, or `auto` by validation.
        flip: Whether mirror images still show the same class.
        kept_views: How many random views of an image are made and kept.
        views: Over how many views of an image a prediction is averaged; 1 is the image itself.
        tuning: How fine-tuning learns.
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
    weights: str | None = IMAGENET
    preprocessing: str = "auto"
    image_size: tuple[int, int] | int | str | None = AUTO
    resize: str = AUTO
    head: str = "auto"
    head_epochs: int | None = None
    unfreeze: int | str = AUTO
    augment: str = "auto"
    flip: bool = True
    kept_views: int = 4
    views: int = 1
    tuning: Tuning = field(default_factory=Tuning)
    class_weight: str = "auto"
    seed: int = 0
    precision: str = "auto"
    validation_fraction: float = 0.1
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        """Check every choice."""
        _one_of("resize", self.resize, RESIZES)
        _one_of("head", self.head, HEADS)
        _one_of("class_weight", self.class_weight, CLASS_WEIGHTS)
        _one_of("preprocessing", self.preprocessing, PREPROCESSINGS)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("augment", self.augment, AUGMENTS)
        _check_flag("flip", self.flip)
        self._check_numbers()
        if isinstance(self.unfreeze, str) and self.unfreeze.isdecimal():
            object.__setattr__(self, "unfreeze", int(self.unfreeze))
        if not _is_whole(self.unfreeze, 0, 100_000):
            _check_text("unfreeze", self.unfreeze, "a number of layers, or a name such as 'block'")
        given: object = self.tuning  # JSON and TOML give a table
        if not isinstance(given, Tuning):
            object.__setattr__(self, "tuning", tuning_from_dict(given))
        object.__setattr__(self, "image_size", _checked_size(self.image_size))
        if not _is_whole(self.seed, 0, 2**32 - 1):
            raise HeadstartError(
                f"The seed cannot be {self.seed!r}. Expected a whole number from 0 to 2^32 - 1."
            )
        _check_text("backbone", self.backbone, "a name such as 'efficientnet_lite0'")
        if self.weights is not None:
            _check_text("weights", self.weights, "'imagenet', the path of a file, or None")
        if self.backbone == AUTO and self.weights != IMAGENET:
            raise HeadstartError(
                f"The backbone cannot be found out with the weights {self.weights or 'none'!r}. "
                "Expected 'imagenet': those of each. Name the backbone that they are for, or leave "
                "them out."
            )
        for name in ("validation_fraction", "test_fraction"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < 0.5:
                raise HeadstartError(
                    f"{name} cannot be {value!r}. Expected a number between 0 and 0.5."
                )

    def _check_numbers(self) -> None:
        most_views = MOST_VIEWS if self.flip else MOST_VIEWS // 2
        for name, least, most in (("kept_views", 1, 1000), ("views", 1, most_views)):
            if not _is_whole(getattr(self, name), least, most):
                raise HeadstartError(
                    f"{name} cannot be {getattr(self, name)!r}. Expected a whole number from "
                    f"{least} to {most}."
                )
        if self.head_epochs is not None and not _is_whole(self.head_epochs, 1, 10_000):
            raise HeadstartError(
                f"head_epochs cannot be {self.head_epochs!r}. Expected a whole number from 1 to "
                "10,000, or None."
            )

    @property
    def height_and_width(self) -> tuple[int, int] | None:
        """The image size in pixels; None for the backbone's own, or one to be found out."""
        size = _checked_size(self.image_size)
        return None if isinstance(size, str) else size

    @property
    def chooses(self) -> bool:
        """Whether backbone, image size or resize mode are to be found out."""
        return AUTO in (self.backbone, self.image_size, self.resize)

    @property
    def depth(self) -> str:
        """How much of the backbone is fine-tuned, in words."""
        if self.unfreeze == 0:
            return "frozen"
        if isinstance(self.unfreeze, int):
            return f"last {self.unfreeze} layers fine-tuned"
        return (
            "fine-tuned" if self.unfreeze in ("all", "auto") else f"fine-tuned from {self.unfreeze}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The choices as JSON values; of the names of files, bytes that are no text as escapes."""
        values = asdict(self)
        for name in ("backbone", "weights"):
            values[name] = None if values[name] is None else encodable(values[name])
        if isinstance(self.image_size, tuple):
            values["image_size"] = list(self.image_size)
        return values


def recipe_from_dict(values: Mapping[str, Any]) -> Recipe:
    """Read a recipe as `Recipe.to_dict` writes it.

    Raises:
        HeadstartError: An unknown name or a choice that does not exist.
    """
    check_names("recipe", values, [one.name for one in fields(Recipe)])
    return Recipe(**values)


def without_search(recipe: Recipe) -> Recipe:
    """The same, with the backbone's own size and the usual resize mode where they are open."""
    size = None if recipe.image_size == AUTO else recipe.image_size
    mode = RESIZE_MODES[0] if recipe.resize == AUTO else recipe.resize
    return replace(recipe, image_size=size, resize=mode)


def write_recipe(recipe: Recipe) -> str:
    """The choices as TOML, for a file that `read_recipe` reads; what is None is left out."""
    import tomli_w

    said = {name: value for name, value in recipe.to_dict().items() if value is not None}
    if recipe.weights is None:
        said["weights"] = "none"
    if recipe.image_size is None:
        said["image_size"] = OWN
    said["tuning"] = {name: one for name, one in said["tuning"].items() if one is not None}
    return tomli_w.dumps(said)


def read_recipe(source: str | Path) -> Recipe:
    """Read a recipe from a TOML file, or take one that has a name.

    Args:
        source: The path of a file with some of the names of `Recipe`; or `default`; or `frozen`
            (the backbone at its own size, and a head: seconds); or `tutorial` (the Keras tutorial:
            Dense 128 relu, dropout 0.3 and Adam for 10 epochs, then the last 20 layers with Adam at
            1e-5 for 10 epochs).

    Raises:
        HeadstartError: No such file, not TOML, or a choice that does not exist.
    """
    if str(source) in NAMED:
        return NAMED[str(source)]
    try:
        values = tomllib.loads(Path(source).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise HeadstartError(
            f"The recipe '{source}' cannot be read: {error}. Expected a TOML file, or one of: "
            f"{', '.join(NAMED)}. Check the path, or compare with a bundle's recipe.toml."
        ) from error
    if values.get("weights") == "none":
        values["weights"] = None
    return recipe_from_dict(values)


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise HeadstartError(f"{name} cannot be {value!r}. Expected one of: {', '.join(allowed)}.")


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise HeadstartError(f"{name} cannot be {value!r}. Expected true or false.")


def _check_text(name: str, value: object, expected: str) -> None:
    if not isinstance(value, str) or not value:
        raise HeadstartError(f"{name} cannot be {value!r}. Expected {expected}.")


def _is_whole(value: object, least: int, most: int) -> bool:
    """Whether it is a whole number in the range; True is an int for Python, and no number here."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _checked_size(image_size: object) -> tuple[int, int] | str | None:
    """The size as a pair; JSON has no tuples, so a list is one too."""
    if image_size is None or image_size == OWN:
        return None
    if image_size == AUTO:
        return AUTO
    pair = image_size if isinstance(image_size, list | tuple) else (image_size, image_size)
    if len(pair) != 2 or not all(_is_whole(side, 1, LARGEST_SIZE) for side in pair):
        raise HeadstartError(
            f"The image size cannot be {image_size!r}. Expected a height and a width from 1 to "
            f"{LARGEST_SIZE} pixels, 'own' (the backbone's), or 'auto'."
        )
    return pair[0], pair[1]


NAMED = {
    "default": Recipe(),
    "frozen": Recipe(image_size=None, resize="squash", unfreeze=0),
    "tutorial": Recipe(
        image_size=None,
        resize="squash",
        head="mlp",
        head_epochs=10,
        unfreeze=20,
        augment="none",
        class_weight="none",
        tuning=Tuning(
            optimizer="adam",
            learning_rate=1e-5,
            epochs=10,
            patience=10,
            schedule="constant",
            warmup=0,
            weight_decay=0,
            label_smoothing=0,
            dropout=0.3,
            clip_norm=0,
        ),
    ),
}
