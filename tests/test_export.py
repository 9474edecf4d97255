"""Every format answers as the bundle does, with clean names and with its labels inside."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_exports import FORMATS, TRAINED, bundle_of, exported, run_of
from tiny_run import CLASSES, SIDE, fresh_cache, trained

import headstart
from headstart.classifier import Classifier, PixelChoices, plain_view
from headstart.exporting.runtimes import open_onnx, open_openvino
from headstart.images import Pixels


def images(count: int = 5) -> Pixels:
    views = [plain_view(path, (SIDE, SIDE), "squash") for path in trained().paths[:count]]
    return np.stack(views)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *itertools.product(("linear", "mlp", "fine-tuned"), FORMATS),
        ("whole", "keras"),
        ("whole", "openvino"),
    ],
)
def test_a_format_answers_as_the_classifier(kind: str, name: str) -> None:
    found = exported(kind, name)
    assert found.check.images == len(trained().paths)
    assert found.check.agreement == 1
    assert found.check.difference <= 1e-5
    assert found.bundle.difference <= 1e-3
    assert found.path.exists()
    assert bool(run_of(kind).classifier.prefix.identity.tuned) == (kind in TRAINED)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_any_number_of_images_at_once(count: int) -> None:
    wanted = run_of("linear").classifier.predict_proba(list(images(count)))
    for run in (open_onnx(exported("linear", "onnx").path),
                open_openvino(exported("linear", "openvino").path)):  # fmt: skip
        got = run(images(count))
        assert got.shape == (count, len(CLASSES))
        assert np.abs(got - wanted).max() <= 1e-3


def test_onnx_has_names_labels_and_no_invalid_node() -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(exported("linear", "onnx").path)
    onnx.checker.check_model(model, full_check=True)
    (given,), (answer,) = model.graph.input, model.graph.output
    assert (given.name, answer.name) == ("images", "probabilities")
    assert given.type.tensor_type.shape.dim[0].dim_param == "n"
    assert {one.domain: one.version for one in model.opset_import}[""] == 17
    inside = {one.key: json.loads(one.value) for one in model.metadata_props}
    assert inside["labels"] == list(CLASSES)
    assert inside["about"]["image_size"] == [SIDE, SIDE]


def test_openvino_has_names_and_labels() -> None:
    from headstart.engine import read_network

    model = read_network(exported("linear", "openvino").path)
    assert model.input("images").get_partial_shape()[0].is_dynamic
    assert model.output("probabilities").get_partial_shape()[1] == len(CLASSES)
    said = model.get_rt_info(["headstart", "labels"])
    assert json.loads(getattr(said, "value", said)) == list(CLASSES)


@pytest.mark.parametrize("name", ["keras", "litert"])
def test_what_is_said_lies_inside_the_file(name: str) -> None:
    with zipfile.ZipFile(exported("linear", name).path) as archive:
        inside = json.loads(archive.read("about.json"))
        assert archive.read("labels.txt").decode().splitlines() == list(CLASSES)
    assert inside["labels"] == list(CLASSES)


def test_litert_has_built_in_operations_alone() -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(str(exported("linear", "litert").path))
    signature = interpreter.get_signature_list()["serving_default"]
    assert signature == {"inputs": ["images"], "outputs": ["probabilities"]}
    names = {one["op_name"] for one in interpreter._get_ops_details()}
    assert not [name for name in names if name.startswith(("Flex", "CUSTOM"))]


def test_a_saved_model_tells_its_labels() -> None:
    import tensorflow

    loaded = tensorflow.saved_model.load(str(exported("linear", "saved_model").path))
    labels = loaded.signatures["labels"]()["labels"].numpy()
    assert [one.decode() for one in labels] == list(CLASSES)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_said_lies_beside_the_file(name: str) -> None:
    found = exported("linear", name)
    beside = found.path / "about.json"
    if found.path.is_file():
        beside = found.path.with_name(f"{found.path.name}.json")
    said = json.loads(beside.read_text(encoding="utf-8"))
    assert said["labels"] == list(CLASSES)
    assert said["output"] == {"name": "probabilities", "type": "float32", "shape": ["n", 3]}
    assert said["check"]["difference"] == found.check.difference
    assert said["files"]


_PLAIN = """
import sys
import keras, numpy
model = keras.saving.load_model(sys.argv[1])
assert not [name for name in sys.modules if name.partition(".")[0] == "headstart"]
print(model.input_shape, numpy.array(model(numpy.load(sys.argv[2]))).round(6).tolist())
"""


def test_the_keras_file_opens_without_headstart(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", images())
    command = [sys.executable, "-c", _PLAIN, str(exported("fine-tuned", "keras").path)]
    done = subprocess.run(
        [*command, str(tmp_path / "images.npy")], cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    shape, answers = done.stdout.strip().split(") ", 1)
    assert shape == f"(None, {SIDE}, {SIDE}, 3"
    wanted = run_of("fine-tuned").classifier.predict_proba(list(images()))
    assert np.abs(np.array(json.loads(answers)) - wanted).max() <= 1e-3


@pytest.mark.parametrize("name", ["onnx", "openvino", "litert"])
def test_8_bits_cost_little_and_are_told(name: str) -> None:
    found = exported("linear", name, int8=True)
    assert found.loss is not None
    assert found.loss <= 0.02
    assert 1e-4 < found.check.difference < 0.2  # 8 bits are not float32
    assert "int8" in str(found)
    assert found.to_dict()["loss"] == found.loss


def test_8_bits_are_in_the_onnx_file() -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(exported("linear", "onnx", int8=True).path).graph
    eight = [one for one in graph.initializer if one.data_type == onnx.TensorProto.INT8]
    weights = [one for one in eight if len(one.dims) == 4]  # the others are zero points
    assert len(weights) == 3  # one for each convolution
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in graph.node}


def test_a_run_is_exported_with_its_validation_part(tmp_path: Path) -> None:
    run = run_of("mlp")
    found = headstart.export(run, "openvino", out=tmp_path / "x.xml")
    assert found.check.source == "validation part"
    assert found.check.images == run.images["validation"]
    assert found.check.difference <= 1e-5


def test_where_it_was_trained_its_images_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_cache(monkeypatch, tmp_path / "cache")
    run = run_of("linear")
    found = headstart.export(run.save(tmp_path / "bundle"), "openvino", out=tmp_path / "x.xml")
    assert found.check.source.startswith("validation part of ")
    assert found.check.images == run.images["validation"]
    assert found.accuracy is not None


def test_without_images_the_bundle_has_some(tmp_path: Path) -> None:
    found = headstart.export(trained().bundle, "openvino", out=tmp_path / "x.xml")
    assert "thumbnails of training images" in found.check.source
    assert found.check.difference <= 1e-5
    assert found.accuracy is None


def test_several_views_and_their_difference_are_told(tmp_path: Path) -> None:
    run = run_of("linear")
    old = run.classifier
    views = Classifier(old.class_names, old.prefix, old.head, PixelChoices("squash", 4))
    run = replace(run, classifier=views)
    found = headstart.export(run, "openvino", out=tmp_path / "x.xml")
    assert "over 4 views" in found.bundle_computes
    assert found.bundle.difference > 1e-3
    assert found.check.difference <= 1e-5


def test_bfloat16_and_its_difference_are_told(tmp_path: Path) -> None:
    run = run_of("linear")
    old = run.classifier
    identity = replace(old.prefix.identity, precision="bfloat16")
    faster = Classifier(
        old.class_names, replace(old.prefix, identity=identity), old.head, old.pixels
    )
    found = headstart.export(replace(run, classifier=faster), "openvino", out=tmp_path / "x.xml")
    assert found.bundle_computes == "in bfloat16, with features in float16"
    assert found.check.difference <= 1e-5
    assert f"largest difference {found.bundle.difference:.1e}" in str(found)


_FRAMEWORKS = """
import sys, headstart
headstart.export(sys.argv[1], "openvino", out=sys.argv[2])
print(sorted({"keras", "tensorflow", "sklearn"} & set(sys.modules)))
"""


def test_openvino_takes_no_keras(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FRAMEWORKS, str(bundle_of("fine-tuned"))]
    done = subprocess.run(
        [*command, str(tmp_path / "x.xml")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_class_names_of_any_kind(tmp_path: Path) -> None:
    run = run_of("linear")
    old = run.classifier
    names = ("new\nline", "\udcff", "läuft")
    other = Classifier(names, old.prefix, old.head, old.pixels)
    given = replace(run, classifier=other, files=dict.fromkeys(run.files, ()))
    for name, suffix in (("keras", "keras"), ("openvino", "xml"), ("onnx", "onnx")):
        found = headstart.export(given, name, out=tmp_path / f"x.{suffix}")
        said = json.loads((tmp_path / f"x.{suffix}.json").read_text(encoding="utf-8"))
        assert said["labels"] == ["new\nline", "\\xff", "läuft"]
        assert json.dumps(found.to_dict()).isascii()
    with zipfile.ZipFile(tmp_path / "x.keras") as archive:
        assert len(archive.read("labels.txt").decode().splitlines()) == len(names)
