"""What a caller asks for, as a recipe: one that is made, read or named, and changes of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart.backbones import short_name
from headstart.errors import HeadstartError
from headstart.recipe import AUTO, NAMED, Recipe, read_recipe


def as_recipe(given: Recipe | str | os.PathLike[str] | None, default: Recipe) -> Recipe:
    """A recipe as a caller gives it: made, or what `read_recipe` reads, or None for the default.

    Raises:
        HeadstartError: Something else, or as `read_recipe`.
    """
    if given is None:
        return default
    if isinstance(given, Recipe):
        return given
    if isinstance(given, str | os.PathLike):
        return read_recipe(Path(given))
    raise HeadstartError(
        f"recipe cannot be a {type(given).__name__}. Expected a Recipe, the path of a TOML file, "
        f"or one of: {', '.join(NAMED)}. Make one with headstart.Recipe(head='linear', seed=1)."
    )


def changed(recipe: Recipe, choices: Mapping[str, Any]) -> Recipe:
    """The same with other choices; preprocessing does not go over to another backbone.

    A file that was moved is the same backbone: its name says so.

    Raises:
        HeadstartError: A choice that does not exist.
    """
    given = choices.get("backbone")
    if given is not None and recipe.preprocessing != AUTO and "preprocessing" not in choices:
        names = [one if one == AUTO else short_name(one) for one in (recipe.backbone, given)]
        if names[0] != names[1]:
            choices = {**choices, "preprocessing": AUTO}
    return replace(recipe, **choices)
