"""What the page lets people choose for a training, and what that is as a recipe.

quick   the backbone at its own size and a head: no longer than the features take
good    what `headstart fit` does by itself
best    ten minutes, with the backbone looked for as well
"""

from __future__ import annotations

from typing import Any

from headstart.backbones import find_backbone, list_backbones, weights_here
from headstart.errors import HeadstartError
from headstart.exporting.target import FORMATS, INT8_FORMATS
from headstart.fit_options import Augment, FitOptions
from headstart.plan import usual_seconds
from headstart.recipe import AUGMENTS, AUTO, Recipe

TIMES = ("quick", "good", "best")
OPTIONS = ("backbone", "image_size", "unfreeze", "augment")
BEST_SECONDS = 600.0
BUNDLE = "bundle"  # as it is, besides the formats of headstart.exporting


def time_limit_of(time: str) -> float | None:
    """The time limit of `headstart fit`."""
    return BEST_SECONDS if time == "best" else None


def planned_seconds(time: str, images: int) -> float | None:
    """How long a training may take, about; None where nothing is planned."""
    return {"good": usual_seconds(images), "best": BEST_SECONDS}.get(time)


def check_export(to: str, *, int8: bool) -> None:
    """Make sure that there is such an export.

    Raises:
        HeadstartError: There is none.
    """
    if to not in (BUNDLE, *FORMATS) or (int8 and to not in INT8_FORMATS):
        raise HeadstartError(
            f"There is no export '{to}'{' with 8-bit numbers' if int8 else ''}. Expected one of: "
            f"{', '.join(INT8_FORMATS if int8 else (BUNDLE, *FORMATS))}."
        )


def recipe_of(time: str, options: dict[str, Any]) -> Recipe:
    """The recipe of a training.

    Args:
        time: One of `TIMES`.
        options: Some of `OPTIONS`, as text or numbers; what is empty is left open.

    Raises:
        HeadstartError: A choice that does not exist.
    """
    if time not in TIMES:
        raise HeadstartError(f"There is no time '{time}'. Expected one of: {', '.join(TIMES)}.")
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise HeadstartError(
            f"There is no choice '{unknown[0]}'. Expected some of: {', '.join(OPTIONS)}."
        )
    given = {name: str(one) for name, one in options.items() if one not in (None, "")}
    if given.get("backbone", AUTO) != AUTO:
        info = find_backbone(given["backbone"])  # a name, never a file
        if not weights_here(info):
            raise HeadstartError(
                f"The weights of '{info.name}' are not on this machine. Expected one of: "
                f"{', '.join(_backbones_here())}. Fetch them with headstart backbones fetch."
            )
    if given.get("augment", AUTO) not in AUGMENTS:
        raise HeadstartError(
            f"augment cannot be '{given['augment']}'. Expected one of: {', '.join(AUGMENTS)}."
        )
    augment = Augment(given["augment"]) if "augment" in given else None
    return FitOptions(
        recipe="frozen" if time == "quick" else None,
        backbone=given.get("backbone", AUTO if time == "best" else None),
        image_size=given.get("image_size"),
        unfreeze=given.get("unfreeze"),
        augment=augment,
    ).to_recipe()


def offered() -> dict[str, Any]:
    """What can be chosen, as JSON values; of the backbones those whose weights are here."""
    return {
        "times": list(TIMES),
        "backbones": [AUTO, *_backbones_here()],
        "image_sizes": [AUTO, "own", 160, 224, 256, 320, 384, 512],
        "unfreezes": [AUTO, "0", "block", "20", "all"],
        "augments": list(AUGMENTS),
        "exports": [BUNDLE, *FORMATS],
        "int8": list(INT8_FORMATS),
    }


def _backbones_here() -> list[str]:
    return [info.name for info in list_backbones() if weights_here(info)]
