"""The demo's data: 2,000 images of textile from a PyPI package.

Each is nominal, or has a local or global defect. The defects are a few threads wide: at 224 pixels
they blur away (accuracy about 0.75 with a frozen EfficientNet-Lite0).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from headstart.errors import MissingExtra

_PACKAGE = "conformal_clip_data"


def demo_folder() -> Path:
    """The folder with the demo's images, one folder for each class.

    Source: the package conformal-clip-data (MIT), simulated textile images.

    Raises:
        MissingExtra: The package is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(
            "The demo's images are not installed. They come with the package conformal-clip-data "
            '(MIT). Install it with: pip install "headstart[demo]"'
        )
    return (
        Path(next(iter(spec.submodule_search_locations))) / "data" / "textile_images" / "simulated"
    )
