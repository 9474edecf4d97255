"""The options that `headstart fit` and `headstart demo` share, defined once, as a dataclass."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headstart.network_options import ClassWeight, Device, Precision, Resize
from headstart.options import whole_number

if TYPE_CHECKING:
    from headstart.recipe import Recipe


class HeadName(StrEnum):
    """The classifier put on the features."""

    AUTO = "auto"
    LINEAR = "linear"
    MLP = "mlp"
    PROTOTYPE = "prototype"


class Augment(StrEnum):
    """What random views of the images are trained on."""

    AUTO = "auto"
    NONE = "none"
    LIGHT = "light"
    STRONG = "strong"


class Optimizer(StrEnum):
    """What makes fine-tuning learn."""

    ADAMW = "adamw"
    ADAM = "adam"


class Schedule(StrEnum):
    """How the learning rate goes on after the warm-up."""

    COSINE = "cosine"
    CONSTANT = "constant"


class Preprocessing(StrEnum):
    """How a model of one's own wants its pixels."""

    AUTO = "auto"
    INSIDE = "inside"
    TF = "tf"
    UNIT = "unit"
    CAFFE = "caffe"
    TORCH = "torch"


@dataclass(frozen=True)
class FitOptions:
    """One field for each option; None where it was not given."""

    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the bundle.", show_default="NAME.headstart"),
    ] = None
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A TOML file, 'frozen' or 'tutorial'; other options go before what it says."
        ),
    ] = None
    fixes: Annotated[
        Path | None,
        typer.Option(
            help="A list of fixes, as headstart check --fix-list writes it.", show_default=False
        ),
    ] = None
    backbone: Annotated[
        str | None,
        typer.Option(
            help="A name of `headstart backbones`, a .keras or .h5 file, hub:PRESET, or 'auto'.",
            show_default="efficientnet_lite0",
        ),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(
            help="'imagenet', a weights file, or 'none' for random weights.",
            show_default="imagenet",
        ),
    ] = None
    preprocessing: Annotated[
        Preprocessing | None, typer.Option(help="How a model of your own wants its pixels.")
    ] = None
    image_size: Annotated[
        str | None,
        typer.Option(
            help="Height and width in pixels, 'own' (the backbone's), or 'auto'.",
            show_default="auto",
        ),
    ] = None
    resize: Annotated[
        Resize | None,
        typer.Option(help="Change the aspect ratio, crop, or pad.", show_default="auto"),
    ] = None
    head: Annotated[
        HeadName | None,
        typer.Option(help="The classifier put on the features.", show_default="auto"),
    ] = None
    head_epochs: Annotated[
        int | None, typer.Option(help="Of the mlp head.", show_default="by validation loss")
    ] = None
    unfreeze: Annotated[
        str | None,
        typer.Option(
            help="Fine-tune: a number of layers, 'block', a layer's name, 'all' or 'auto'.",
            show_default="auto",
        ),
    ] = None
    augment: Annotated[
        Augment | None,
        typer.Option(help="Random views of the images to learn from.", show_default="auto"),
    ] = None
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip",
            help="Whether mirror images show the same class.",
            show_default="flip",
        ),
    ] = None
    kept_views: Annotated[
        int | None, typer.Option(help="Random views kept of each image.", show_default="4")
    ] = None
    views: Annotated[
        int | None,
        typer.Option(help="Views that a prediction is averaged over.", show_default="1"),
    ] = None
    learning_rate: Annotated[
        float | None, typer.Option(help="Of fine-tuning.", show_default="by the data")
    ] = None
    epochs: Annotated[
        int | None, typer.Option(help="Of fine-tuning, at most.", show_default="by the data")
    ] = None
    patience: Annotated[
        int | None,
        typer.Option(help="Epochs without a lower validation loss.", show_default="5"),
    ] = None
    batch_size: Annotated[int | None, typer.Option(help="Of fine-tuning.", show_default="32")] = (
        None
    )
    optimizer: Annotated[
        Optimizer | None, typer.Option(help="Of fine-tuning.", show_default="adamw")
    ] = None
    schedule: Annotated[
        Schedule | None, typer.Option(help="Of the learning rate.", show_default="cosine")
    ] = None
    warmup: Annotated[float | None, typer.Option(help="Part of all steps.", show_default="0.1")] = (
        None
    )
    layer_decay: Annotated[
        float | None,
        typer.Option(help="Factor on the learning rate, block by block.", show_default="1"),
    ] = None
    weight_decay: Annotated[float | None, typer.Option(help="Of adamw.", show_default="0.004")] = (
        None
    )
    label_smoothing: Annotated[float | None, typer.Option(help="0 to 0.5.", show_default="0.1")] = (
        None
    )
    dropout: Annotated[
        float | None, typer.Option(help="Before the last layer.", show_default="0.2")
    ] = None
    clip_norm: Annotated[
        float | None, typer.Option(help="Largest norm of the gradients.", show_default="1")
    ] = None
    mixup: Annotated[float | None, typer.Option(help="Strength of mixup.", show_default="0")] = None
    class_weight: Annotated[
        ClassWeight | None,
        typer.Option(help="How classes of different size count.", show_default="auto"),
    ] = None
    seed: Annotated[
        int | None, typer.Option(help="Fixes the split and everything random.", show_default="0")
    ] = None
    time_limit: Annotated[
        float | None,
        typer.Option(
            help="Seconds to end in; images not reached are left out.",
            show_default="60 and 3 for 100 images, with none left out",
        ),
    ] = None
    device: Annotated[Device, typer.Option(help="Where the frozen network runs.")] = Device.AUTO
    precision: Annotated[
        Precision | None,
        typer.Option(help="What the frozen network computes in.", show_default="auto"),
    ] = None
    cross_validate: Annotated[
        int | None,
        typer.Option(
            help="Cross-validate the head on all images, too, in so many folds.",
            show_default="not",
        ),
    ] = None
    images: Annotated[
        bool,
        typer.Option(
            "--images/--no-images",
            help="Let the bundle hold images: the report, thumbnails, an example.",
        ),
    ] = True
    track: Annotated[
        str | None,
        typer.Option(
            help="Log the run: 'tensorboard' or 'mlflow', with :PLACE if wanted.",
            show_default="nowhere",
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False

    def to_recipe(self) -> Recipe:
        """The recipe that these options ask for.

        Raises:
            HeadstartError: A choice that does not exist, or a recipe that cannot be read.
        """
        from headstart.asked import changed
        from headstart.recipe import AUTO, OWN, Recipe, read_recipe
        from headstart.tuning import Tuning

        recipe = Recipe() if self.recipe is None else read_recipe(self.recipe)
        given: dict[str, Any] = {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        given = {name: getattr(value, "value", value) for name, value in given.items()}
        own = {field.name for field in fields(Tuning)}
        tuning = replace(recipe.tuning, **{name: given[name] for name in own & set(given)})
        names = {field.name for field in fields(Recipe)} - {"tuning"}
        chosen = {name: given[name] for name in names & set(given)}
        if self.image_size is not None and self.image_size not in (AUTO, OWN):
            chosen["image_size"] = whole_number(self.image_size, "--image-size", (AUTO, OWN))
        if chosen.get("weights") == "none":
            chosen["weights"] = None
        return changed(recipe, {**chosen, "tuning": tuning})

    def unused(self, recipe: Recipe) -> str:
        """Which options were given for something that the recipe leaves out; "" where none was.

        What `auto` may come to counts as used.

        Args:
            recipe: As `to_recipe` gives it.
        """
        from headstart.recipe import AUTO
        from headstart.tuning import Tuning

        frozen = recipe.unfreeze == 0
        views = recipe.augment != "none" and not (frozen and recipe.augment == AUTO)
        missing = {
            "for fine-tuning (--unfreeze)": [one.name for one in fields(Tuning)] * frozen,
            "for --optimizer adamw": ["weight_decay"]
            * (not frozen and recipe.tuning.optimizer != "adamw"),
            "for --head mlp": ["head_epochs"] * (recipe.head in ("linear", "prototype")),
            "for views (--augment light or strong)": ["kept_views"] * (not views),
            "where something stays frozen": ["kept_views"] * (views and recipe.unfreeze == "all"),
        }
        said = []
        for only, names in missing.items():
            given = [one for one in names if getattr(self, one, None) is not None]
            if given:
                options = ", ".join(f"--{one.replace('_', '-')}" for one in given)
                said.append(f"{options}: only {only}, not used")
        return "; ".join(said)
