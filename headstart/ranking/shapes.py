"""Widths and heights of images, and what follows from them for the networks to try."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from headstart.features.extraction import Source
from headstart.images import header, read_bytes
from headstart.prefix import Prefix

_LOOKED_AT = 200  # images
_MOST_SQUASHED = 1.1  # factor on the aspect ratio that is no reason to try another resize mode
_MOST_OF = 90  # percent of the images must be within it
_ALWAYS = 10 / 7  # times a backbone's own size: 320 of 224 pixels helps images of 48 pixels, too
_ENLARGED = 3.0  # times the images: 448 pixels were worse than 320 for 96 and 160; 512 of 250 help

Shapes = Sequence[tuple[int, int]]


def shapes_of(images: Sequence[Source]) -> Shapes:
    """Width and height of some of the images, in pixels as they are stored."""
    found = []
    for image in images[:_LOOKED_AT]:
        with header(image if isinstance(image, bytes) else read_bytes(image)) as opened:
            found.append(opened.size)
    return found


def is_varied(shapes: Shapes, shape: float) -> bool:
    """Whether many images have another shape (width / height) than the network takes."""
    apart = [abs(math.log(width / height / shape)) for width, height in shapes]
    return bool(apart) and float(np.percentile(apart, _MOST_OF)) > math.log(_MOST_SQUASHED)


def worth_trying(candidates: Sequence[Prefix], shapes: Shapes) -> list[Prefix]:
    """Those that do not enlarge nearly all images by so much that nothing is gained.

    At twice a size a network takes four times as long, and finds no more in a small image.
    """
    longer = float(np.percentile([max(shape) for shape in shapes], _MOST_OF)) if shapes else 0.0

    def is_worth(prefix: Prefix) -> bool:
        if prefix.backbone is None:
            return True
        usual = round(_ALWAYS * prefix.backbone.info.image_size)
        return min(prefix.identity.image_size) <= max(usual, _ENLARGED * longer)

    return [one for one in candidates if is_worth(one)]
