"""`headstart.check`: labelled images in, what is wrong with them out; nothing is trained."""

from __future__ import annotations

import math
import os

from headstart.checkup.examine import examine
from headstart.checkup.result import CheckUp
from headstart.dataset import Dataset
from headstart.fixes import apply_fixes
from headstart.learning import choose_prefix
from headstart.preparation import prepare, read
from headstart.recipe import Recipe, without_search
from headstart.stopwatch import Stopwatch


def check(
    source: str | os.PathLike[str] | Dataset,
    recipe: Recipe | None = None,
    *,
    fixes: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> CheckUp:
    """Look for broken, copied, leaking, mislabelled and odd images, and for shortcuts.

    Labels are judged by a linear head on frozen features, in cross-validation over all images.

    Args:
        source: Images as `headstart.fit` takes them.
        recipe: Backbone, image size, seed; what it leaves open is as in ``without_search``:
            the backbone's own size, squashed.
        fixes: A list of fixes to apply first, as `CheckUp.write_fix_list` writes it.
        device: `auto`, `cpu` or `gpu`.

    Raises:
        DatasetError: The data, or the fixes, cannot be used.
        HeadstartError: A choice that does not exist, or weights that are not here.
    """
    recipe, watch = without_search(recipe or Recipe()), Stopwatch()
    prefix, recipe = choose_prefix(recipe, device)
    dataset = read(source, watch)
    if fixes is not None:
        dataset = apply_fixes(dataset, fixes)
    prepared = prepare(dataset, recipe, prefix, math.inf, watch)
    return examine(prepared, min(prefix.identity.image_size), watch, seed=recipe.seed)
