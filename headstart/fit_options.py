"""The options that `headstart fit` and `headstart demo` share, defined once, as a dataclass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer


class Resize(StrEnum):
    """How an image is brought to the size of the network."""

    SQUASH = "squash"
    CROP = "crop"
    PAD = "pad"


class HeadName(StrEnum):
    """The classifier put on the features."""

    AUTO = "auto"
    LINEAR = "linear"
    MLP = "mlp"
    PROTOTYPE = "prototype"


class ClassWeight(StrEnum):
    """How classes of different size count."""

    AUTO = "auto"
    BALANCED = "balanced"
    NONE = "none"


class Device(StrEnum):
    """Where the frozen network runs."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


class Precision(StrEnum):
    """What the frozen network computes in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class FitOptions:
    """One field for each option."""

    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the bundle.", show_default="NAME.headstart"),
    ] = None
    backbone: Annotated[str, typer.Option(help="A name of `headstart backbones`.")] = (
        "efficientnet_lite0"
    )
    weights: Annotated[
        str, typer.Option(help="'imagenet', a weights file, or 'none' for random weights.")
    ] = "imagenet"
    image_size: Annotated[
        int | None,
        typer.Option(help="Height and width in pixels.", show_default="the backbone's own"),
    ] = None
    resize: Annotated[Resize, typer.Option(help="Change the aspect ratio, crop, or pad.")] = (
        Resize.SQUASH
    )
    head: Annotated[HeadName, typer.Option(help="The classifier put on the features.")] = (
        HeadName.AUTO
    )
    class_weight: Annotated[
        ClassWeight, typer.Option(help="How classes of different size count.")
    ] = ClassWeight.AUTO
    seed: Annotated[int, typer.Option(help="Fixes the split and everything random.")] = 0
    time_limit: Annotated[
        float | None,
        typer.Option(help="Seconds; images not reached are left out.", show_default="none"),
    ] = None
    device: Annotated[Device, typer.Option(help="Where the frozen network runs.")] = Device.AUTO
    precision: Annotated[Precision, typer.Option(help="What the frozen network computes in.")] = (
        Precision.AUTO
    )
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False


def with_fit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take a `FitOptions` as its last parameter, from one option for each field."""
    hints = get_type_hints(FitOptions, include_extras=True)
    own = [
        value
        for name, value in inspect.signature(command, eval_str=True).parameters.items()
        if name != "options"
    ]
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(FitOptions)
    ]

    @functools.wraps(command)
    def taking(**values: Any) -> None:
        options = FitOptions(**{field.name: values.pop(field.name) for field in fields(FitOptions)})
        command(**values, options=options)

    parameters = [*own, *shared]
    taking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    taking.__annotations__ = {one.name: one.annotation for one in parameters}
    return taking
