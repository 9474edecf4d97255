from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import MakeFolder
from own_models import SIDE, answer, body, keras, layers, pixels, save, seeded, sequential, tutorial

import headstart
from headstart.backbones import load_backbone
from headstart.backbones.weights import file_digest
from headstart.card import escape, model_card
from headstart.classifier import Classifier
from headstart.dataset import Dataset
from headstart.locations import cache_root
from headstart.recipe import Recipe


def inner(model: Any, layer: str) -> Any:
    """The part of a model up to a layer of its own."""
    return keras.Model(model.inputs[0], model.get_layer(layer).output)


@pytest.mark.parametrize("name", ["own.keras", "own.h5", "Own Model (2).HDF5.h5"])
def test_the_model_of_the_guide(name: str, tmp_path: Path) -> None:
    model = tutorial()
    path = save(model, tmp_path, name)
    backbone = load_backbone(str(path))
    built = backbone.build((SIDE, SIDE))
    expected = answer(inner(model, "features_here"), pixels().astype(np.float32))
    np.testing.assert_array_equal(answer(built, pixels()), expected)
    assert np.std(expected) > 0.01
    assert (built.input.dtype, built.input.shape) == ("uint8", (None, SIDE, SIDE, 3))
    assert (built.output.dtype, built.output.shape) == ("float32", (None, 6))
    assert built.trainable_variables == []
    kinds = [type(layer).__name__ for layer in built.layers]
    assert not {"Functional", "Sequential", "RandomFlip", "Dense"} & set(kinds)
    last = backbone.build((SIDE, SIDE), pooling=False)
    np.testing.assert_allclose(answer(last, pixels()).mean((1, 2)), expected, rtol=1e-5)


def test_what_is_said_of_it(tmp_path: Path) -> None:
    path = save(tutorial(), tmp_path, "Blumen, neu (2).keras")
    backbone = load_backbone(path)
    info = backbone.info
    assert (info.name, info.family, info.source) == ("own_blumen_neu_2", "own", "own")
    assert (info.features, info.image_size, info.top1) == (6, SIDE, None)
    assert (info.preprocessing, info.licence) == ("inside", "the user's own")
    assert info.parameters == body().count_params()
    assert info.file == path.name
    assert path.name in info.paper
    assert (backbone.weights, backbone.weights_digest) == (path, file_digest(path))


def flatten_head() -> Any:
    return sequential(layers.Flatten(), layers.Dense(7), layers.Dense(2, activation="softmax"))


def average(model: Any, images: Any) -> Any:
    return answer(model.get_layer("body"), images / np.float32(255)).mean((1, 2))


def largest(model: Any, images: Any) -> Any:
    return answer(model.get_layer("body"), images / np.float32(255)).max((1, 2))


def both() -> Any:
    x = body()
    pools = [layers.GlobalAveragePooling2D()(x.output), layers.GlobalMaxPooling2D()(x.output)]
    joined = layers.Dense(3)(layers.Concatenate(name="joined")(pools))
    return seeded(keras.Sequential([layers.Rescaling(1 / 255), keras.Model(x.input, joined)]))


def fully_convolutional(pooled: Any) -> Any:
    scores = layers.Conv2D(3, 1, name="scores")
    return sequential(scores, layers.ReLU(), pooled, layers.Softmax())


def one_by_one() -> Any:
    """As the classifiers of MobileNet and MobileNetV3."""
    wide = [layers.Conv2D(9, 1), layers.Activation("hard_silu"), layers.Dropout(0.2)]
    scores = [layers.Conv2D(3, 1), layers.Flatten(), layers.Activation("softmax")]
    return sequential(layers.GlobalAveragePooling2D(keepdims=True), *wide, *scores)


def late_normalisation() -> Any:
    after = [layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(1, "sigmoid")]
    return sequential(layers.GlobalMaxPooling2D(), *after)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(flatten_head, average, id="flatten and dense"),
        pytest.param(sequential, average, id="no top"),
        pytest.param(lambda: sequential(layers.GlobalMaxPooling2D()), largest, id="pooled"),
        pytest.param(late_normalisation, largest, id="maximum, then BatchNorm"),
        pytest.param(one_by_one, average, id="convolutions of 1 x 1 pixel"),
        pytest.param(
            lambda: fully_convolutional(layers.GlobalAveragePooling2D()), average, id="scores"
        ),
        pytest.param(
            lambda: sequential(layers.Conv2D(3, 1, activation="softmax")), average, id="score map"
        ),
        pytest.param(
            lambda: sequential(layers.Conv2D(3, 1), layers.Softmax(), layers.GlobalMaxPooling2D()),
            average,
            id="scores of each place",
        ),
    ],
)
def test_the_classifier_goes(
    make: Callable[[], Any], expected: Callable[[Any, Any], Any], tmp_path: Path
) -> None:
    model = make()
    backbone = load_backbone(save(model, tmp_path))
    features = answer(backbone.build((SIDE, SIDE)), pixels())
    np.testing.assert_allclose(features, expected(model, pixels()), rtol=1e-4, atol=1e-5)
    assert backbone.info.features == features.shape[1] == 6


def test_two_poolings_side_by_side(tmp_path: Path) -> None:
    model = seeded(both())
    model.build((None, SIDE, SIDE, 3))
    backbone = load_backbone(save(model, tmp_path))
    features = answer(backbone.build((SIDE, SIDE)), pixels())
    last = answer(backbone.build((SIDE, SIDE), pooling=False), pixels())
    expected = np.concatenate([last.mean((1, 2)), last.max((1, 2))], axis=1)
    np.testing.assert_allclose(features, expected, rtol=1e-5)
    assert backbone.info.features == 12


@pytest.mark.parametrize("size", [(48, 48), (64, 20)])
def test_another_size_than_its_own(size: tuple[int, int], tmp_path: Path) -> None:
    fixed, free = flatten_head(), sequential(layers.GlobalAveragePooling2D(), side=None)
    free.get_layer("body").set_weights(fixed.get_layer("body").get_weights())
    images = np.random.default_rng(1).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    built = load_backbone(save(fixed, tmp_path)).build(size)
    assert built.input.shape == (None, *size, 3)
    np.testing.assert_allclose(answer(built, images), average(free, images), rtol=1e-4)


@pytest.mark.parametrize(("side", "expected"), [(None, 224), (48, 48)])
def test_its_own_size(side: int | None, expected: int, tmp_path: Path) -> None:
    model = sequential(layers.GlobalAveragePooling2D(), layers.Dense(2), side=side)
    assert load_backbone(save(model, tmp_path)).info.image_size == expected


def test_grey(tmp_path: Path) -> None:
    model = sequential(layers.GlobalAveragePooling2D(), layers.Dense(2), channels=1)
    backbone = load_backbone(save(model, tmp_path))
    grey = (pixels() @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    features = answer(backbone.build((SIDE, SIDE)), pixels())
    np.testing.assert_allclose(features, average(model, grey), rtol=1e-4)
    assert backbone.info.parameters == body(1).count_params()


def test_mixed_precision_computes_in_float32(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = sequential(layers.GlobalAveragePooling2D(), layers.Dense(2))
    finally:
        keras.config.set_dtype_policy("float32")
    exact = sequential(layers.GlobalAveragePooling2D())
    exact.get_layer("body").set_weights(model.get_layer("body").get_weights())
    built = load_backbone(save(model, tmp_path)).build((SIDE, SIDE))
    assert built.output.dtype == "float32"
    np.testing.assert_allclose(answer(built, pixels()), average(exact, pixels()), rtol=1e-4)


def test_names_that_are_also_given_here(tmp_path: Path) -> None:
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.Rescaling(1 / 255, name="preprocess")(image)
    x = layers.Conv2D(4, 3, name="features")(x)
    model = seeded(keras.Model(image, layers.GlobalAveragePooling2D(name="pool")(x)))
    built = load_backbone(save(model, tmp_path)).build((SIDE, SIDE))
    np.testing.assert_array_equal(answer(built, pixels()), answer(model, pixels()))


def test_a_backbone_of_headstart_saved_by_its_user(tmp_path: Path) -> None:
    tiny = load_backbone("tiny").build((SIDE, SIDE))
    model = keras.Sequential([tiny, layers.Dense(4, activation="softmax")])
    built = load_backbone(save(model, tmp_path)).build((SIDE, SIDE))
    np.testing.assert_array_equal(answer(built, pixels()), answer(tiny, pixels()))


def test_it_runs_as_outside_training(tmp_path: Path) -> None:
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Dropout(0.9)(layers.Rescaling(1 / 255)(image), training=True)
    x = layers.GlobalAveragePooling2D()(body()(x, training=True))
    model = seeded(keras.Model(image, layers.Dense(2)(x)))
    built = load_backbone(save(model, tmp_path)).build((SIDE, SIDE))
    for features in (np.asarray(built(pixels())), answer(built, pixels())):
        np.testing.assert_allclose(features, average(model, pixels()), rtol=1e-4)


def test_a_crop_stays_and_a_model_may_be_oblong(tmp_path: Path) -> None:
    image = keras.Input((24, 40, 3))
    x = layers.Rescaling(1 / 255)(layers.RandomCrop(16, 16)(layers.RandomFlip()(image)))
    x = layers.Conv2D(4, 3, activation="relu", name="features_here")(x)
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model = seeded(keras.Model(image, x))
    backbone = load_backbone(save(model, tmp_path))
    assert backbone.info.image_size == 40
    images = pixels(40)[:, :24]
    expected = answer(inner(model, "features_here"), images.astype(np.float32)).mean((1, 2))
    np.testing.assert_allclose(answer(backbone.build((24, 40)), images), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["<b>|rose|.keras", "a [link](http:evil).h5"])
def test_the_card_escapes_the_name_of_the_file(name: str, tmp_path: Path) -> None:
    info = load_backbone(save(tutorial(), tmp_path, name)).info
    labels = np.arange(2, dtype=np.int64)
    data = Dataset(
        "flowers", (Path("a"), Path("b")), labels, ("a", "b"), np.full(2, -1, np.int8), ()
    )
    about = {"images": {"test": 2}, "skipped": 0, "fingerprint": "0"}
    recipe = Recipe(backbone=info.name, image_size=SIDE, resize="squash", unfreeze=0)
    test: Any = SimpleNamespace(accuracy=None, low=None, high=None)
    card = model_card(data, recipe, test, about, info)
    said = f"the user's own model, {name}"
    assert f"| source | {escape(said)} |" in card
    assert "| source | the user's own model |" in model_card(data, recipe, test, about)


def test_settings_of_the_caller_do_not_matter(tmp_path: Path) -> None:
    model = tutorial()
    path = save(model, tmp_path)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        built = load_backbone(path).build((SIDE, SIDE))
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    expected = answer(inner(model, "features_here"), pixels().astype(np.float32))
    np.testing.assert_array_equal(answer(built, pixels()), expected)


def test_a_damaged_note_in_the_cache_is_written_anew(tmp_path: Path) -> None:
    path = save(tutorial(), tmp_path)
    info = load_backbone(path).info
    note = cache_root() / "own_models" / f"{file_digest(path)}.json"
    content = json.loads(note.read_text())
    for damaged in ("", "{}", "[1]", json.dumps(content | {"format": 0, "features": 5})):
        note.write_text(damaged)
        assert load_backbone(path).info == info
        assert json.loads(note.read_text()) == content


def test_a_cache_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    assert load_backbone(save(tutorial(), tmp_path)).info.features == 6


AGAIN = """
import sys, headstart
from headstart.recipe import Recipe
choices = {"image_size": None, "resize": "squash", "unfreeze": 0, "precision": "float32"}
run = headstart.fit(sys.argv[1], Recipe(backbone=sys.argv[2], **choices))
assert run.computed == 0
print(headstart.load(sys.argv[3]).predict_proba([sys.argv[4]]).tolist())
print(sorted({"keras", "tensorflow"} & set(sys.modules)))
"""


def test_from_file_to_bundle(image_folder: MakeFolder, tmp_path: Path) -> None:
    path = save(tutorial(), tmp_path, "earlier.keras")
    photos, out = image_folder(per_class=8), tmp_path / "bundle"
    recipe = Recipe(
        backbone=str(path), image_size=None, resize="squash", unfreeze=0, precision="float32"
    )
    run = headstart.fit(photos, recipe, out=out)
    assert (run.recipe.backbone, run.recipe.image_size) == (str(path), (SIDE, SIDE))
    assert run.to_dict()["backbone"] == "own_earlier"
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "| backbone | own_earlier, weights: those of the model" in card
    assert "| licence of the backbone's weights | the user's own |" in card
    image = next(photos.rglob("*.jpg"))
    program = [sys.executable, "-c", AGAIN, *map(str, (photos, path, out, image))]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    probabilities, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    path.unlink()
    classifier = headstart.load(out)
    assert isinstance(classifier, Classifier)
    assert classifier.predict_proba([image]).tolist() == json.loads(probabilities)
