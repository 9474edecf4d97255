"""Whether a network has the layers that are to be unfrozen: told before any work begins."""

from __future__ import annotations

from collections.abc import Sequence

from headstart import progress
from headstart.depth import check_depth
from headstart.errors import HeadstartError
from headstart.prefix import Prefix, layer_table
from headstart.recipe import AUTO, Recipe


def with_depth(candidates: Sequence[tuple[Prefix, Recipe]]) -> list[tuple[Prefix, Recipe]]:
    """The networks that have the layers which their recipe unfreezes.

    Nothing is built where the layers were noted when the network was converted.

    Raises:
        HeadstartError: None has them.
    """
    refused: dict[str, HeadstartError] = {}
    names = {prefix.identity.backbone for prefix, _ in candidates}
    for name in sorted(names):
        sizes = [one for one in candidates if one[0].identity.backbone == name]
        try:
            _check_depth([prefix for prefix, _ in sizes], sizes[0][1].unfreeze)
        except HeadstartError as reason:
            refused[name] = reason
    if len(refused) == len(names):
        raise next(iter(refused.values()))
    for name, error in refused.items():
        progress.remark("network", f"{name} is left out: {error}")
    return [one for one in candidates if one[0].identity.backbone not in refused]


def _check_depth(sizes: Sequence[Prefix], unfreeze: int | str) -> None:
    """See whether a network, at some image sizes, has the layers that are to be unfrozen."""
    backbone = sizes[0].backbone
    if unfreeze in (0, AUTO) or backbone is None:
        return
    noted = (prefix.layers() for prefix in sizes)
    table = next((one for one in noted if one is not None), None)
    if table is None:
        table = layer_table(backbone.build(sizes[0].identity.image_size))
    check_depth(backbone.info.name, table, unfreeze)
