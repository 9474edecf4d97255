"""`export`: a bundle in, a checked model in another format out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from headstart import atomic
from headstart.errors import HeadstartError
from headstart.exporting import onnx_writing
from headstart.exporting.checking import expect
from headstart.exporting.hub import write_hub
from headstart.exporting.material import check_calibration
from headstart.exporting.network import Weights
from headstart.exporting.order import Order
from headstart.exporting.result import Export
from headstart.exporting.subject import open_subject
from headstart.exporting.target import Target, check_format, choose_target
from headstart.exporting.writing import write_checked
from headstart.extras import require
from headstart.run import Run


def export(
    bundle: str | os.PathLike[str] | Run,
    to: str,
    *,
    int8: bool = False,
    out: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    weights: Weights = None,
) -> Export:
    """Write a classifier in another format: images in, probabilities out, all else inside.

    The model takes uint8 (n, height, width, 3), RGB, at the classifier's image size, and gives
    float32 (n, classes). It is run by its own runtime and compared with the classifier before it is
    kept.

    Args:
        bundle: The folder that `headstart fit` wrote, or what `headstart.fit` gave.
        to: `keras`, `onnx`, `openvino`, `litert`, `saved_model` or `hub`.
        int8: Whether to compute with 8-bit numbers (onnx, openvino, litert).
        out: The file or folder; by default named after the bundle, in the current folder.
        data: Labelled images to check with; of a run by default its validation part.
        weights: The backbone's weights file, where it is not found where `fit` looks; the model
            file of a model of your own; `hub:` and the name or folder of a preset.

    Raises:
        HeadstartError: Not a bundle, a format that there is not, weights that are not here, a place
            that cannot be written, or an export that does not answer as the classifier does.
        MissingExtra: The packages of `headstart[export]` are not installed.
        DatasetError: `data` cannot be used.
    """
    check_format(to, int8=int8)
    subject = open_subject(bundle)
    target = choose_target(subject, to, None if out is None else Path(out), int8=int8)
    require_packages(to, int8=int8)
    material = subject.material(data)
    if int8:
        check_calibration(material)
    expected = expect(subject.classifier, material)
    order = Order(subject, expected, int8, weights)
    try:
        if to == "hub":
            return write_hub(order, target)
        with _aside(target) as aside:
            found = write_checked(order, aside)
        return replace(found, path=target.path)
    except OSError as error:
        raise HeadstartError(
            f"The export '{target.path}' cannot be written: {error.strerror or error}. Expected a "
            "folder with space and permission to write. Choose another place with --out."
        ) from error


def require_packages(name: str, *, int8: bool) -> None:
    """Ask for what a format takes, before any work is done.

    Raises:
        MissingExtra: Something is not installed.
    """
    if name in ("onnx", "hub") or (int8 and name == "openvino"):
        onnx_writing.require_packages()
    if name == "litert":
        require("ai_edge_litert.interpreter", "export", "checking LiteRT files")


@contextmanager
def _aside(target: Target) -> Iterator[Target]:
    """The same target in a folder aside, which takes its place when the block ends well."""
    place = Path(os.path.abspath(target.path))
    if target.is_folder:
        with atomic.new_folder(place) as folder:
            yield replace(target, path=folder)
    else:
        with atomic.new_files(place.parent) as folder:
            yield replace(target, path=folder / place.name)
