"""What `explain` gives: the answer, the map, the nearest training images; drawn as one image."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import atomic
from headstart.answers import Prediction
from headstart.errors import HeadstartError
from headstart.explanation.colours import overlay
from headstart.explanation.neighbours import Neighbour
from headstart.explanation.sheet import Example, Sheet, draw
from headstart.images import Pixels
from headstart.scan import encodable, printable

Floats = npt.NDArray[np.float32]
ENDINGS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_MOST_CANDIDATES = 3  # named in a line
METHOD_NAMES = {
    "cam": "class activation map",
    "grad-cam": "Grad-CAM",
    "occlusion": "occlusion",
}


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a classifier answers as it does for one image.

    Attributes:
        prediction: The answer, with every class's probability.
        class_name: The class that the map is of.
        method: `cam`, `grad-cam` or `occlusion`.
        values: The map in the network's own grid, float32 (rows, columns): see `ActivationMap`.
        heat: The map over the image, float32 (height, width), 0 to 1; NaN where the network saw
            nothing.
        image: The image, upright, at most 800 pixels at its longer side, uint8 (height, width, 3).
        nearest: Training images, the nearest first; none where the bundle keeps none.
    """

    prediction: Prediction
    class_name: str
    method: str
    values: Floats = field(repr=False)
    heat: Floats = field(repr=False)
    image: Pixels = field(repr=False)
    nearest: tuple[Neighbour, ...] = ()

    @property
    def overlay(self) -> Pixels:
        """The image with the map over it, uint8 (height, width, 3)."""
        return overlay(self.image, self.heat)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Draw all of it as one image.

        Args:
            path: Where to write it; `.png`, `.jpg` or `.webp`.

        Raises:
            HeadstartError: Another ending, the place cannot be written, or it is that of the image
                that is explained.
        """
        target = Path(path)
        check_image_target(target, self.prediction.source)
        content = io.BytesIO()
        draw(self._sheet()).save(content, ENDINGS[target.suffix.lower()], quality=90)
        try:
            atomic.write_file(target, content.getvalue())
        except OSError as error:
            raise _unwritable(target, error.strerror or str(error)) from error
        return target

    def to_dict(self) -> dict[str, Any]:
        """The whole as JSON values; the map in the network's own grid."""
        candidates = self.prediction.candidates
        return {
            "path": encodable(self.prediction.source),
            "label": self.prediction.label,
            "probability": self.prediction.probability,
            "probabilities": dict(self.prediction.probabilities),
            "candidates": None if candidates is None else list(candidates),
            "unknown": self.prediction.unknown,
            "class": self.class_name,
            "method": self.method,
            "map": [[float(one) for one in row] for row in self.values],
            "nearest": [
                {"name": one.name, "class": one.class_name, "similarity": one.similarity}
                for one in self.nearest
            ],
        }

    def __str__(self) -> str:
        """The answer, what the map is, and the nearest training images, for people."""
        source = printable(self.prediction.source)
        lines = [
            f"{source + ': ' if source else ''}{self._title()}",
            f"Map: {self._caption()}",
        ]
        if self.nearest:
            lines += ["Nearest training images, with the cosine of their features:"]
        lines += [
            f"  {one.similarity:.3f}  {printable(one.class_name)}  {printable(one.name)}"
            for one in self.nearest
        ]
        return "\n".join(lines)

    def _title(self) -> str:
        doubts = "; ".join(self.prediction.doubts(_MOST_CANDIDATES))
        text = f"{self.prediction.label} {self.prediction.probability:.1%}"
        return printable(f"{text} ({doubts})" if doubts else text)

    def _caption(self) -> str:
        return f"what speaks for {printable(self.class_name)} ({METHOD_NAMES[self.method]})"

    def _sheet(self) -> Sheet:
        others = self.prediction.top(4)[1:]
        name = Path(self.prediction.source).name
        caption = self._caption()
        if np.isnan(self.heat).any():
            caption += ", striped: not seen"
        return Sheet(
            title=self._title(),
            subtitle="Next: " + ", ".join(f"{label} {value:.1%}" for label, value in others),
            left=self.image,
            right=self.overlay,
            captions=(name or "the image", caption[0].upper() + caption[1:]),
            heading="Nearest training images",
            examples=[
                Example(one.thumbnail, one.class_name, f"{one.similarity:.3f}  {_last(one.name)}")
                for one in self.nearest
            ],
        )


def _last(name: str) -> str:
    """The file's own name: the folder says mostly what the class says."""
    return name.rpartition("/")[2] or name


def check_image_target(path: Path, source: str | os.PathLike[str] = "") -> None:
    """Make sure that an image may be written to `path`, before any work is done.

    Args:
        path: Where to write it.
        source: The file of the image that is explained, or "": it is not replaced.

    Raises:
        HeadstartError: An ending of another kind, a folder, the source, or no permission to write.
    """
    if path.suffix.lower() not in ENDINGS:
        raise HeadstartError(
            f"The image '{path}' cannot be written. Expected a name that ends in .png, .jpg or "
            f".webp; received '{path.suffix}'. Choose another name."
        )
    if path.is_dir():
        raise _unwritable(path, "it is a folder")
    if os.fspath(source) and path.exists() and Path(source).exists() and path.samefile(source):
        raise HeadstartError(
            f"'{path}' is the image that is explained. Expected another place, so that the image "
            "stays. Choose another name with --out."
        )
    if not path.parent.is_dir():
        raise _unwritable(path, f"there is no folder '{path.parent}'")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise _unwritable(path, "no permission")


def _unwritable(path: Path, reason: str) -> HeadstartError:
    return HeadstartError(
        f"The image '{path}' cannot be written: {reason}. Expected a place in a folder that can be "
        "written. Choose another place."
    )
