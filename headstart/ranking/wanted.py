"""What `rank` is asked to compare: names of backbones and sizes, checked before any work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from numbers import Integral

from headstart.backbones import find_backbone, is_path_or_preset, list_backbones, weights_here
from headstart.errors import HeadstartError
from headstart.recipe import AUTO


def wanted_backbones(given: Sequence[str] | None) -> list[str]:
    """The names to compare, each once and as the catalogue has it; paths and presets as given.

    Args:
        given: As `rank` takes them; None for all whose weights are here.

    Raises:
        HeadstartError: Not a list of names, none, or one that does not exist.
    """
    if given is None:
        known = list_backbones()
        return [one.name for one in known if one.source != "seeded" and weights_here(one)]
    names = _listed("backbones", given, "['efficientnet_lite0', 'resnet50']")
    return list(dict.fromkeys(_known(name) for name in names))


def wanted_sizes(given: Sequence[int] | None) -> list[int] | None:
    """The sizes to compare in pixels, the smallest first; None where they are left open.

    Raises:
        HeadstartError: Not a list of whole numbers, or none.
    """
    if given is None:
        return None
    sizes = _listed("sizes", given, "[224, 320]")
    return sorted({_pixels(one) for one in sizes})


def least_size(name: str) -> int:
    """Pixels that a backbone takes at least; 0 where only its file can tell."""
    return 0 if is_path_or_preset(name) else find_backbone(name).least_size


def _listed(what: str, given: object, example: str) -> list[object]:
    single = isinstance(given, str | bytes | os.PathLike) or not isinstance(given, Iterable)
    values = [] if single or not isinstance(given, Iterable) else list(given)
    if not values:
        raise HeadstartError(
            f"{what} cannot be {given!r}. Expected a list with at least one. Give one such as "
            f"{what}={example}, or leave {what} out."
        )
    return values


def _pixels(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, Integral):
        raise HeadstartError(
            f"A size to compare cannot be {given!r}. Expected the pixels of a square, a whole "
            "number. Give a list such as sizes=[224, 320]."
        )
    return int(given)


def _known(given: object) -> str:
    if not isinstance(given, str | os.PathLike):
        raise HeadstartError(
            f"A backbone to compare cannot be {given!r}. Expected its name, the path of a model, "
            "or hub: and a preset. Give a list such as backbones=['efficientnet_lite0']."
        )
    name = os.fspath(given)
    if name == AUTO:
        raise HeadstartError(
            "A backbone to compare cannot be 'auto'. Expected names such as efficientnet_lite0. "
            "Name some, or leave the backbones out: then all whose weights are here are compared."
        )
    return name if is_path_or_preset(name) else find_backbone(name).name
