"""Options about the network that several commands have, each with its help defined once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Resize(StrEnum):
    """How an image is brought to the size of the network."""

    AUTO = "auto"
    SQUASH = "squash"
    CROP = "crop"
    PAD = "pad"


class OneResize(StrEnum):
    """The same, where nothing is found out."""

    SQUASH = "squash"
    CROP = "crop"
    PAD = "pad"


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


DeviceOption = Annotated[Device, typer.Option(help="Where the networks run.")]
PrecisionOption = Annotated[Precision, typer.Option(help="What the networks compute in.")]
SeedOption = Annotated[int, typer.Option(help="Fixes the split, as in fit.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
