"""`headstart.check`: labelled images in, what is wrong with them out; nothing is trained."""

from __future__ import annotations

import math
import os

from headstart.asked import as_recipe
from headstart.checkup.examination import examine
from headstart.checkup.result import CheckUp
from headstart.dataset import Dataset
from headstart.learning import choose_prefix
from headstart.preparation import prepare, read
from headstart.recipe import Recipe, without_search
from headstart.stopwatch import Stopwatch


def check(
    source: str | os.PathLike[str] | Dataset,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    *,
    device: str = "auto",
) -> CheckUp:
    """Look for broken, copied, leaking, mislabelled and odd images, and for shortcuts.

    Labels are judged by a linear head on frozen features, in cross-validation over all images.

    Args:
        source: Images as `headstart.fit` takes them.
        recipe: Backbone, image size, seed, given as to `headstart.fit`; what it leaves open is as
            in ``without_search``: the backbone's own size, squashed.
        device: `auto`, `cpu` or `gpu`.

    Raises:
        DatasetError: The data cannot be used.
        HeadstartError: A choice that does not exist, or weights that are not here.
    """
    recipe, watch = without_search(as_recipe(recipe, Recipe())), Stopwatch()
    prefix, recipe = choose_prefix(recipe, device)
    prepared = prepare(read(source, watch), recipe, prefix, math.inf, watch)
    return examine(prepared, min(prefix.identity.image_size), watch, seed=recipe.seed)
