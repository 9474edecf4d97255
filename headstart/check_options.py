"""The options of `headstart check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.network_options import (
    Device,
    DeviceOption,
    JsonOption,
    Precision,
    PrecisionOption,
    SeedOption,
)
from headstart.options import whole_number

if TYPE_CHECKING:
    from headstart.recipe import Recipe


@dataclass(frozen=True)
class CheckOptions:
    """One field for each option."""

    fix_list: Annotated[
        Path | None,
        typer.Option(
            help="Write what could be done as CSV, to edit and give to fit.", show_default=False
        ),
    ] = None
    fixes: Annotated[
        Path | None, typer.Option(help="A list of fixes to apply first.", show_default=False)
    ] = None
    backbone: Annotated[
        str | None,
        typer.Option(help="Which sees the images.", show_default="efficientnet_lite0"),
    ] = None
    image_size: Annotated[
        str | None, typer.Option(help="Height and width in pixels.", show_default="the backbone's")
    ] = None
    seed: SeedOption = 0
    device: DeviceOption = Device.AUTO
    precision: PrecisionOption = Precision.AUTO
    json: JsonOption = False

    def to_recipe(self) -> Recipe:
        """The network as a recipe.

        Raises:
            HeadstartError: A value that cannot be used.
        """
        from headstart.recipe import Recipe

        size = self.image_size
        return Recipe(
            backbone=self.backbone or Recipe().backbone,
            image_size=None if size is None else whole_number(size, "--image-size"),
            seed=self.seed,
            precision=self.precision.value,
        )
