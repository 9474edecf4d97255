"""What an export gives: where it is, how it is called, and how well it agrees with its bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from headstart.scan import encodable, printable

INPUT, OUTPUT = "images", "probabilities"


@dataclass(frozen=True)
class Agreement:
    """How two classifiers answer the same images.

    Attributes:
        images: How many were compared.
        source: Which images these were.
        agreement: The share for which both name the same class, 0 to 1.
        difference: The largest difference between two probabilities.
    """

    images: int
    source: str
    agreement: float
    difference: float


@dataclass(frozen=True)
class Export:
    """A model that was exported and checked.

    Attributes:
        path: The file, or the folder.
        format: `keras`, `onnx`, `openvino`, `litert`, `saved_model` or `hub`.
        int8: Whether it computes with 8 bits.
        files: What was written, as paths beside or below `path`.
        bytes: Size of the model, without what lies beside it.
        input: Name of the input, uint8 (n, height, width, 3), RGB.
        output: Name of the output, float32 (n, classes).
        image_size: (height, width) in pixels.
        resize: How an image is brought to that size: `squash`, `crop` or `pad`.
        class_names: The classes, in the order of the output.
        check: Against the classifier computing in float32, one view of each image.
        bundle: The same classifier against the bundle as it predicts here.
        bundle_computes: How the bundle predicts otherwise, such as `in bfloat16`.
        accuracy: Of the export on labelled images; None where there were none.
        accuracy_before: Of the classifier computing in float32, on the same images.
        details: What else is told of the format, such as ONNX's opset; JSON values.
    """

    path: Path
    format: str
    int8: bool
    files: tuple[str, ...]
    bytes: int
    input: str
    output: str
    image_size: tuple[int, int]
    resize: str
    class_names: tuple[str, ...]
    check: Agreement
    bundle: Agreement
    bundle_computes: str
    accuracy: float | None = None
    accuracy_before: float | None = None
    details: tuple[tuple[str, str], ...] = ()

    @property
    def loss(self) -> float | None:
        """How much accuracy the export lost; None without labelled images."""
        if self.accuracy is None or self.accuracy_before is None:
            return None
        return self.accuracy_before - self.accuracy

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: the object that `headstart export --json` prints."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            **found,
            "path": encodable(str(self.path)),
            "files": [encodable(name) for name in self.files],
            "class_names": [encodable(name) for name in self.class_names],
            "check": asdict(self.check),
            "bundle": asdict(self.bundle),
            "details": dict(self.details),
            "loss": self.loss,
        }

    def __str__(self) -> str:
        """What was written and how well it agrees, as text."""
        kind = f"{self.format}, int8" if self.int8 else self.format
        check, height, width = self.check, *self.image_size
        lines = [
            f"{printable(str(self.path))}: {kind}, {_size(self.bytes)}.",
            f"Takes {self.input}: uint8 (n, {height}, {width}, 3), RGB, resized by {self.resize}. "
            f"Gives {self.output}: float32 (n, {len(self.class_names)}).",
            f"On {check.images} images ({check.source}) it agrees with the classifier computing in "
            f"float32 for {check.agreement:.1%}; largest difference {check.difference:.1e}.",
        ]
        if self.loss is not None and self.int8:
            lines.append(f"Accuracy {self.accuracy:.1%}, before {self.accuracy_before:.1%}.")
        lines.append(
            f"With the bundle as it predicts here ({self.bundle_computes}) it agrees for "
            f"{self.bundle.agreement:.1%}; largest difference {self.bundle.difference:.1e}."
        )
        return "\n".join(lines)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
