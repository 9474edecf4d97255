"""Write an export aside, run it by its own runtime, and keep it if it answers as it should."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headstart import progress
from headstart.conversion import file_digest
from headstart.errors import HeadstartError
from headstart.exporting import checking, onnx_writing, openvino_writing, runtimes
from headstart.exporting import tensorflow_writing as by_tensorflow
from headstart.exporting.network import check_plain, keras_classifier
from headstart.exporting.order import Order
from headstart.exporting.result import INPUT, OUTPUT, Export
from headstart.exporting.subject import description
from headstart.exporting.target import Target

STAGE = "convert"


def write_checked(order: Order, target: Target) -> Export:
    """Write the model and what is said of it, and check it.

    Raises:
        HeadstartError: It cannot be written, or does not answer as it should.
    """
    about = description(order.subject, target.format, int8=order.int8)
    with progress.stage(STAGE):
        _write(order, target, about)
    run = runtimes.OPEN[target.format](target.path)
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
        checking.check_float32(found, target.format)
    files = target.files()
    result = Export(
        path=target.path,
        format=target.format,
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
        details=_details(target.format),
    )
    write_about(target, about, result, files)
    return result


def _details(name: str) -> tuple[tuple[str, str], ...]:
    return (("opset", str(onnx_writing.OPSET)),) if name == "onnx" else ()


def _write(order: Order, target: Target, about: dict[str, Any]) -> None:
    path = target.path
    if target.format == "openvino" and not order.int8:
        _write_openvino(order, path, about)
        return
    backbone = order.subject.backbone(order.weights)
    model = keras_classifier(order.subject.classifier, backbone)
    if target.format == "keras":
        check_plain(model)
        by_tensorflow.write_keras(model, path, about)
    elif target.format == "saved_model":
        by_tensorflow.write_saved_model(model, path, about)
    elif target.format == "litert":
        calibration = order.expected.material.calibration if order.int8 else ()
        by_tensorflow.write_litert(model, path, about, calibration)
    elif order.int8:
        _write_int8(order, model, target, about)
    else:
        onnx_writing.write_onnx(model, path, about)


def _write_openvino(order: Order, path: Path, about: dict[str, Any]) -> None:
    """Out of the bundle's own networks; out of Keras where these take one image at a time."""
    classifier = order.subject.classifier
    try:
        openvino_writing.write_openvino(classifier, path, about)
    except openvino_writing.FixedBatch as fixed:
        try:
            backbone = order.subject.backbone(order.weights)
        except HeadstartError:
            raise fixed from None
        openvino_writing.write_from_keras(keras_classifier(classifier, backbone), path, about)


def _write_int8(order: Order, model: Any, target: Target, about: dict[str, Any]) -> None:
    """ONNX in 8 bits, or that read by OpenVINO."""
    path = target.path
    calibration = order.expected.material.calibration
    whole, quantized = path.with_name(".whole.onnx"), path.with_name(".int8.onnx")
    onnx_writing.write_onnx(model, whole, about)
    if target.format == "onnx":
        onnx_writing.write_onnx_int8(whole, path, calibration)
    else:
        onnx_writing.write_onnx_int8(whole, quantized, calibration)
        openvino_writing.write_from_onnx(quantized, path, about)
        quantized.unlink()
    whole.unlink()


def write_about(target: Target, about: dict[str, Any], found: Export, files: list[Path]) -> None:
    """Write what is said of the export, how it was checked, and the checksums of its files."""
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
