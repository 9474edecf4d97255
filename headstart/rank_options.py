"""The options of `headstart rank`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from headstart.network_options import (
    ClassWeight,
    Device,
    DeviceOption,
    JsonOption,
    OneResize,
    Precision,
    PrecisionOption,
    SeedOption,
)
from headstart.options import split_list, whole_number


@dataclass(frozen=True)
class RankOptions:
    """One field for each option."""

    backbones: Annotated[
        str | None,
        typer.Option(help="Names, with commas between.", show_default="those with weights here"),
    ] = None
    sizes: Annotated[
        str | None,
        typer.Option(help="Pixels, with commas between.", show_default="160,224,320,448"),
    ] = None
    time_limit: Annotated[
        float | None,
        typer.Option(help="Seconds after which no more is tried.", show_default="none"),
    ] = None
    resize: Annotated[OneResize, typer.Option(help="Change the aspect ratio, crop, or pad.")] = (
        OneResize.SQUASH
    )
    class_weight: Annotated[
        ClassWeight, typer.Option(help="How classes of different size count.")
    ] = ClassWeight.AUTO
    seed: SeedOption = 0
    device: DeviceOption = Device.AUTO
    precision: PrecisionOption = Precision.AUTO
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw accuracy against speed: .svg, .png or .pdf.", show_default=False),
    ] = None
    json: JsonOption = False

    @property
    def names(self) -> list[str] | None:
        """The backbones, or None where they were not given."""
        return None if self.backbones is None else split_list(self.backbones)

    @property
    def pixels(self) -> list[int] | None:
        """The sizes, or None where they were not given."""
        if self.sizes is None:
            return None
        return [whole_number(one, "--sizes") for one in split_list(self.sizes)]
