"""Write an export aside, run it by its own runtime, and keep it if it answers as it should."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from headstart import atomic, progress
from headstart.conversion import file_digest
from headstart.errors import HeadstartError
from headstart.exporting import checking, onnx_writing, openvino_writing, runtimes
from headstart.exporting import tensorflow_writing as by_tensorflow
from headstart.exporting.material import check_calibration
from headstart.exporting.network import Weights, check_plain, keras_classifier
from headstart.exporting.result import INPUT, OUTPUT, Export
from headstart.exporting.subject import Subject, description, open_subject
from headstart.exporting.target import Target, check_format, choose_target
from headstart.extras import require
from headstart.run import Run

STAGE = "convert"
_OPEN: dict[str, Callable[[Path], runtimes.Run]] = {
    "keras": runtimes.open_keras,
    "onnx": runtimes.open_onnx,
    "openvino": runtimes.open_openvino,
    "litert": runtimes.open_litert,
    "saved_model": runtimes.open_saved_model,
}


@dataclass(frozen=True, eq=False)
class Order:
    """What is to be written.

    Attributes:
        subject: The classifier.
        expected: What must be answered.
        format: One of `FORMATS` but `hub`.
        int8: Whether with 8-bit numbers.
        weights: Where the weights of the backbone are, if not where `fit` looks.
    """

    subject: Subject
    expected: checking.Expected
    format: str
    int8: bool = False
    weights: Weights = None


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
    expected = checking.expect(subject.classifier, material)
    order = Order(subject, expected, to, int8, weights)
    try:
        if to == "hub":
            from headstart.exporting.hub import write_hub

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
    if name in ("onnx", "hub") or int8 and name == "openvino":
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


def write_checked(order: Order, target: Target) -> Export:
    """Write the model and what is said of it, and check it.

    Raises:
        HeadstartError: It cannot be written, or does not answer as it should.
    """
    about = description(order.subject, order.format, int8=order.int8)
    with progress.stage(STAGE):
        _write(order, target.path, about)
    run = _OPEN[order.format](target.path)
    expected, material = order.expected, order.expected.material
    got = checking.answer(run, material.images)
    found = checking.agreement(got, expected.float32, material.source)
    before = checking.accuracy(expected.float32, material)
    after = checking.accuracy(got, material)
    if order.int8:
        assert before is not None
        assert after is not None
        checking.check_int8(before, after, found)
    else:
        checking.check_float32(found, order.format)
    files = target.files()
    result = Export(
        path=target.path,
        format=order.format,
        int8=order.int8,
        files=tuple(os.path.relpath(one, target.path.parent) for one in files),
        bytes=sum(one.stat().st_size for one in files),
        input=INPUT,
        output=OUTPUT,
        image_size=order.subject.classifier.image_size,
        resize=order.subject.classifier.resize,
        class_names=order.subject.classifier.class_names,
        check=found,
        bundle=checking.agreement(got, expected.bundle, material.source),
        bundle_computes=checking.computes(order.subject.classifier),
        accuracy=after,
        accuracy_before=before,
        details=_details(order.format),
    )
    _write_about(target, about, result, files)
    return result


def _details(name: str) -> tuple[tuple[str, str], ...]:
    return (("opset", str(onnx_writing.OPSET)),) if name == "onnx" else ()


def _write(order: Order, path: Path, about: dict[str, Any]) -> None:
    if order.format == "openvino" and not order.int8:
        openvino_writing.write_openvino(order.subject.classifier, path, about)
        return
    backbone = order.subject.backbone(order.weights)
    model = keras_classifier(order.subject.classifier, backbone, rounded=not order.int8)
    if order.format == "keras":
        check_plain(model)
        by_tensorflow.write_keras(model, path, about)
    elif order.format == "saved_model":
        by_tensorflow.write_saved_model(model, path, about)
    elif order.format == "litert":
        calibration = order.expected.material.calibration if order.int8 else ()
        by_tensorflow.write_litert(model, path, about, calibration)
    elif order.int8:
        _write_int8(order, model, path, about)
    else:
        onnx_writing.write_onnx(model, path, about)


def _write_int8(order: Order, model: Any, path: Path, about: dict[str, Any]) -> None:
    """ONNX in 8 bits, or that read by OpenVINO."""
    calibration = order.expected.material.calibration
    whole, quantized = path.with_name(".whole.onnx"), path.with_name(".int8.onnx")
    onnx_writing.write_onnx(model, whole, about)
    if order.format == "onnx":
        onnx_writing.write_onnx_int8(whole, path, calibration)
    else:
        onnx_writing.write_onnx_int8(whole, quantized, calibration)
        openvino_writing.write_from_onnx(quantized, path, about)
        quantized.unlink()
    whole.unlink()


def _write_about(target: Target, about: dict[str, Any], found: Export, files: list[Path]) -> None:
    """What is said of the export, how it was checked, and the checksums of its files."""
    names = {os.path.relpath(one, target.about.parent): file_digest(one) for one in files}
    checked = {
        "check": asdict(found.check),
        "bundle_check": asdict(found.bundle),
        "bundle_computes": found.bundle_computes,
        "accuracy": found.accuracy,
        "accuracy_before": found.accuracy_before,
        **dict(found.details),
        "files": names,
    }
    target.about.write_text(
        json.dumps({**about, **checked}, indent=2, allow_nan=False), encoding="utf-8"
    )
