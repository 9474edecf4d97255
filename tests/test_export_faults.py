"""What may not be exported is refused in one line, and nothing is left behind."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_command
from tiny_exports import bundle_of, run_of
from tiny_run import trained

import headstart
from headstart.bundle import _checksum
from headstart.errors import HeadstartError, MissingExtra
from headstart.exporting import checking, material, network, writing
from headstart.exporting.checking import agreement, check_float32, check_int8
from headstart.exporting.runtimes import Answers
from headstart.exporting.subject import open_subject
from headstart.exporting.tensorflow_writing import quiet
from headstart.heads import Head
from headstart.images import Pixels

OPENVINO = "openvino"


def listed(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def without_preprocessing(model: Any) -> Any:
    """The classifier, whose layer of preprocessing does nothing."""
    model.get_layer("preprocess").scale = 1.0
    return model


@pytest.mark.parametrize("name", ["keras", "onnx", "litert"])
def test_preprocessing_left_out_is_caught(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = network.keras_classifier
    monkeypatch.setattr(
        writing, "keras_classifier", lambda *given: without_preprocessing(build(*given))
    )
    suffix = {"litert": "tflite"}.get(name, name)
    with pytest.raises(HeadstartError, match="does not answer as the classifier does"):
        headstart.export(bundle_of("linear"), name, out=tmp_path / f"x.{suffix}")
    assert listed(tmp_path) == []


def test_a_head_that_differs_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (weights, bias), *_ = run_of("linear").classifier.head.layers
    other = Head("linear", ((weights, bias + np.array([0.002, 0, 0], np.float32)),))
    answers = checking.float32_answers
    monkeypatch.setattr(
        checking,
        "float32_answers",
        lambda given, images: answers(
            headstart.Classifier(given.class_names, given.prefix, other, given.pixels), images
        ),
    )
    with pytest.raises(HeadstartError, match=r"100\.0% get the same class.*differ by up to"):
        headstart.export(bundle_of("linear"), OPENVINO, out=tmp_path / "x.xml")
    assert listed(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [(OSError(28, "No space left"), HeadstartError), (KeyboardInterrupt,) * 2],
)
def test_nothing_is_left_behind_and_the_old_export_stays(
    error: Any, expected: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headstart.export(bundle_of("linear"), OPENVINO, out=tmp_path / "x.xml")
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}

    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr(checking, "agreement", stop)
    with pytest.raises(expected):
        headstart.export(bundle_of("mlp"), OPENVINO, out=tmp_path / "x.xml")
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before
    monkeypatch.undo()
    found = headstart.export(bundle_of("mlp"), OPENVINO, out=tmp_path / "x.xml")
    assert (tmp_path / "x.xml").read_bytes() != before["x.xml"]
    assert found.path == tmp_path / "x.xml"


def test_a_folder_is_not_left_behind_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "TOLERANCE", -1.0)
    with pytest.raises(HeadstartError, match="Expected 100% and at most"):
        headstart.export(bundle_of("linear"), "saved_model", out=tmp_path / "x")
    assert listed(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "out", "int8", "message"),
    [
        ("coreml", None, False, "Unknown format 'coreml'. Expected one of: keras, onnx"),
        ("keras", None, True, "There is no keras with 8-bit numbers. Expected one of: onnx"),
        ("onnx", "x.keras", False, "'.*x.keras' does not fit the format onnx.*ends in .onnx"),
        ("openvino", "folder.xml", False, "is a folder. Expected a new name"),
        ("openvino", "mine.xml", False, "'.*mine.xml' exists and is no export"),
        ("openvino", "other.xml", False, "'.*other.bin' exists and is no export"),
        ("saved_model", "photos", False, "'.*photos' exists and is no export"),
        ("saved_model", "mine.xml", False, "is a file. Expected a new name"),
        ("openvino", None, True, "8-bit numbers need real images.*--data"),
    ],
)
def test_what_may_not_be(
    name: str, out: str | None, int8: bool, message: str, tmp_path: Path
) -> None:
    for file in ("mine.xml", "other.bin", "photos/a.png"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("mine")
    (tmp_path / "folder.xml").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(HeadstartError, match=message):
        headstart.export(bundle_of("linear"), name, int8=int8, out=tmp_path / (out or "new.xml"))
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "mine.xml").read_text() == "mine"


def test_not_into_the_bundle() -> None:
    folder = bundle_of("linear")
    with pytest.raises(HeadstartError, match="lies in the bundle"):
        headstart.export(folder, OPENVINO, out=folder / "x.xml")
    assert not (folder / "x.xml").exists()


@pytest.mark.parametrize(
    ("name", "missing"), [("onnx", "tf2onnx"), ("litert", "ai_edge_litert"), ("hub", "onnx")]
)
def test_a_missing_package_is_told(
    name: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.import_module

    def without(module: str, *more: Any) -> Any:
        if module.partition(".")[0] == missing:
            raise ModuleNotFoundError(name=missing)
        return found(module, *more)

    monkeypatch.setattr(importlib, "import_module", without)
    suffix = {"litert": "tflite"}.get(name, name)
    with pytest.raises(MissingExtra, match=rf"'{missing}' is needed.*headstart\[export\]"):
        headstart.export(bundle_of("linear"), name, out=tmp_path / f"x.{suffix}")


def bundle_saying(folder: Path, **changed: str) -> Path:
    """The bundle, which says something else of its network."""
    shutil.copytree(bundle_of("linear"), folder)
    said = json.loads((folder / "bundle.json").read_text())
    said["prefix"] |= changed
    (folder / "bundle.json").write_text(json.dumps({**said, "checksum": _checksum(said)}))
    return folder


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights_digest": "0" * 64}, "are not those of the bundle.*--weights FILE"),
        ({"backbone": "own_model"}, "The model file of 'own_model' is not in the bundle"),
        ({"backbone": "hub_resnet"}, "The preset of 'hub_resnet' is not in the bundle"),
    ],
)
def test_weights_that_are_not_here(changed: dict[str, str], message: str, tmp_path: Path) -> None:
    folder = bundle_saying(tmp_path / "bundle", **changed)
    with pytest.raises(HeadstartError, match=message):
        headstart.export(folder, "keras", out=tmp_path / "x.keras")
    found = headstart.export(folder, OPENVINO, out=tmp_path / "x.xml")  # takes none
    assert found.check.difference <= 1e-5


def test_a_layer_of_another_package_is_no_plain_keras() -> None:
    import keras

    given = keras.Input((4,))
    model = keras.Model(given, keras.layers.Lambda(lambda x: x, name="mine")(given))
    with pytest.raises(HeadstartError, match=r"'mine' is a Lambda.*Export to onnx"):
        network.check_plain(model)


def test_what_tensorflow_cannot_write_is_one_line() -> None:
    told = r"cannot be written for LiteRT: no such op\. Expected"
    with pytest.raises(HeadstartError, match=told), quiet("LiteRT"):
        raise ValueError("\n  no such op.\nmore")


def probabilities(*rows: tuple[float, float]) -> Answers:
    return np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("got", "good"),
    [
        (probabilities((0.7, 0.3), (0.2, 0.8)), True),
        (probabilities((0.70005, 0.29995), (0.2, 0.8)), True),
        (probabilities((0.7002, 0.2998), (0.2, 0.8)), False),
        (probabilities((0.3, 0.7), (0.2, 0.8)), False),
        (probabilities((0.7, 0.3), (np.nan, 0.8)), False),
        (np.zeros((2, 3), np.float32), False),
    ],
)
def test_what_counts_as_the_same(got: Answers, good: bool) -> None:
    found = agreement(got, probabilities((0.7, 0.3), (0.2, 0.8)), "two images")
    if good:
        check_float32(found, "onnx")
        return
    with pytest.raises(HeadstartError, match="does not answer as the classifier does"):
        check_float32(found, "onnx")


def test_a_model_that_does_not_run_is_one_line() -> None:
    def run(images: Pixels) -> Answers:
        raise ValueError("Required inputs are missing.\nmore")

    with pytest.raises(HeadstartError, match=r"does not run: Required inputs are missing\. Exp"):
        checking.answer(run, [np.zeros((4, 4, 3), np.uint8)])


def test_8_bits_that_cost_too_much_are_refused() -> None:
    found = agreement(probabilities((0.6, 0.4)), probabilities((0.7, 0.3)), "one image")
    check_int8(0.9, 0.885, found)
    with pytest.raises(
        HeadstartError, match=r"90\.0% becomes 87\.0%.*at most 2%.*more images by --data, or"
    ):
        check_int8(0.9, 0.87, found)


def test_broken_images_are_left_out_and_none_is_an_error(tmp_path: Path) -> None:
    classifier = run_of("linear").classifier
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    good = trained().paths[0]
    found = material.from_files(classifier, [(bad, "roses"), (good, "daisies")], [], "some")
    assert len(found.images) == 1
    assert found.labels is not None
    assert found.labels.tolist() == [0]
    with pytest.raises(HeadstartError, match="None of the images of some opens"):
        material.from_files(classifier, [(bad, "roses")], [], "some")


def test_unknown_classes_are_told(image_folder: Callable[..., Path]) -> None:
    folder = image_folder(classes=("roses", "weeds"), per_class=2)
    with pytest.raises(HeadstartError, match="does not know these classes: weeds"):
        open_subject(bundle_of("linear")).material(folder)


def test_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = bundle_of("linear")
    assert run_command(monkeypatch, "export", folder, "--to", OPENVINO, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["path"] == "bundle.xml"
    assert found["check"]["agreement"] == 1.0
    assert listed(tmp_path) == ["bundle.bin", "bundle.xml", "bundle.xml.json"]
    assert run_command(monkeypatch, "export", folder, "--to", OPENVINO) == 0
    assert "agrees with the classifier computing in float32 for 100.0%" in capsys.readouterr().out
    assert run_command(monkeypatch, "export", folder, "--to", "onnx", "--out", "x") == 2
    told = capsys.readouterr().err
    assert "does not fit the format onnx" in told
    assert "Traceback" not in told
