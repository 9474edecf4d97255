"""Which engine a machine runs, and in which precision."""

from __future__ import annotations

import glob
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from headstart import engine as engines
from headstart.errors import HeadstartError


def no_gpu() -> bool:
    return False


def gpu() -> bool:
    return True


@pytest.mark.parametrize(
    ("device", "node", "tensorflow", "expected"),
    [
        ("cpu", gpu, gpu, "openvino"),
        ("auto", no_gpu, None, "openvino"),  # TensorFlow is not asked, because that takes seconds
        ("auto", gpu, no_gpu, "openvino"),
        ("auto", gpu, gpu, "keras"),
        ("gpu", no_gpu, gpu, "keras"),
    ],
)
def test_choose_engine(
    monkeypatch: pytest.MonkeyPatch, device: str, node: Any, tensorflow: Any, expected: str
) -> None:
    monkeypatch.setattr(engines, "_gpu_is_present", node)
    monkeypatch.setattr(engines, "_tensorflow_sees_gpu", tensorflow)
    assert engines.choose_engine(device) == expected


def test_keras_where_openvino_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert engines.choose_engine("cpu") == "keras"


def test_gpu_is_looked_for_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glob, "glob", lambda pattern: ["found"] * pattern.startswith("/dev/dxg"))
    assert engines._gpu_is_present()
    monkeypatch.setattr(glob, "glob", lambda pattern: [])
    assert not engines._gpu_is_present()


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("tpu", "Unknown device 'tpu'. Expected one of: auto, cpu, gpu."),
        ("gpu", "TensorFlow sees no GPU here.*Use --device cpu"),
    ],
)
def test_device_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, device: str, message: str
) -> None:
    monkeypatch.setattr(engines, "_tensorflow_sees_gpu", no_gpu)
    with pytest.raises(HeadstartError, match=message):
        engines.choose_engine(device)


def test_no_tensorflow_sees_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert not engines._tensorflow_sees_gpu()


@pytest.mark.parametrize(
    ("precision", "engine", "here", "expected"),
    [
        ("auto", "openvino", True, "bfloat16"),
        ("auto", "openvino", False, "float32"),
        ("auto", "keras", True, "float32"),
        ("float32", "openvino", True, "float32"),
        ("bfloat16", "openvino", True, "bfloat16"),
    ],
)
def test_resolve_precision(
    monkeypatch: pytest.MonkeyPatch, precision: str, engine: str, here: bool, expected: str
) -> None:
    monkeypatch.setattr(engines, "_processor_has_bfloat16", lambda: here)
    assert engines.resolve_precision(precision, engine) == expected


@pytest.mark.parametrize(
    ("precision", "engine", "message"),
    [
        ("half", "openvino", "Unknown precision 'half'. Expected one of: auto, float32, bfloat16."),
        ("bfloat16", "openvino", "does not compute in bfloat16.*Use --precision float32"),
        ("bfloat16", "keras", "does not compute in bfloat16.*Use --precision float32"),
    ],
)
def test_precision_that_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, precision: str, engine: str, message: str
) -> None:
    monkeypatch.setattr(engines, "_processor_has_bfloat16", lambda: engine == "keras")
    with pytest.raises(HeadstartError, match=message):
        engines.resolve_precision(precision, engine)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("avx2 avx512f", False), ("avx512_bf16 avx2", True), ("amx_bf16", True), (None, False)],
)
def test_bfloat16_by_the_flags(
    monkeypatch: pytest.MonkeyPatch, flags: str | None, expected: bool
) -> None:
    def read(path: Path, errors: str) -> str:
        if flags is None:
            raise FileNotFoundError
        return f"flags : {flags}"

    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr(Path, "read_text", read)
    assert engines._processor_has_bfloat16() == expected


def test_bfloat16_is_seen_as_openvino_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = engines._processor_has_bfloat16()
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert engines._processor_has_bfloat16() == quick
