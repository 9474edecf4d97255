"""Building blocks for a Keras loop of one's own: what learns, what stays, and kept features."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakeFolder
from tiny_network import SIZE, expected_features, own_cache

import headstart
from headstart import features as inner
from headstart.blocks import extract, freeze, unfreeze
from headstart.errors import HeadstartError
from headstart.frameworks import load_keras

keras: Any = load_keras()
rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(24) % 3
ALL = ("block1_conv", "block1_bn", "block2_conv", "block2_bn", "block3_conv", "block3_bn")


def backbone() -> Any:
    return headstart.load_backbone("tiny").build((32, 32))


def weights(model: Any) -> dict[str, list[bytes]]:
    """All weights, by layer."""
    layers = [one for one in model._flatten_layers() if one.weights and not one._layers]
    return {one.name: [value.tobytes() for value in one.get_weights()] for one in layers}


def moved(model: Any, before: dict[str, list[bytes]]) -> set[str]:
    return {name for name, value in weights(model).items() if value != before[name]}


def with_head(model: Any) -> Any:
    """A classifier around a backbone that is called with `training=True`: the old mistake."""
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    outputs = keras.layers.Dense(3, name="answer")(model(inputs, training=True))
    return keras.Model(inputs, outputs)


def train(whole: Any) -> None:
    whole.compile(
        keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    whole.fit(IMAGES, LABELS, epochs=2, batch_size=8, verbose=0)


@pytest.mark.parametrize(
    ("last", "learns"),
    [
        (0, ()),
        (4, ("block3_conv",)),
        (5, ("block3_conv",)),
        (7, ("block2_conv", "block3_conv")),
        (11, ("block1_conv", "block2_conv", "block3_conv")),
    ],
)
def test_only_what_is_unfrozen_moves_in_a_keras_loop(last: int, learns: tuple[str, ...]) -> None:
    model = backbone()
    assert unfreeze(model, last) == learns
    before = weights(model)
    assert set(before) == set(ALL)
    whole = with_head(model)
    train(whole)
    assert moved(model, before) == set(learns)  # batch norm's statistics are among the weights


def test_the_plain_way_moves_batch_norm() -> None:
    """What `unfreeze` guards against, to see that the test above can fail."""
    model = backbone()
    model.trainable = True
    for layer in model.layers[:-7]:
        layer.trainable = False
    before = weights(model)
    train(with_head(model))
    assert {"block2_bn", "block3_bn"} < moved(model, before)


def test_freeze() -> None:
    model = backbone()
    model.trainable = True
    assert freeze(model) is model
    before = weights(model)
    whole = with_head(model)
    train(whole)
    assert moved(model, before) == set()
    assert [one.name for one in whole.trainable_weights] == ["kernel", "bias"]
    learning, not_learning = (np.asarray(model(IMAGES, training=flag)) for flag in (True, False))
    assert np.array_equal(learning, not_learning)


@pytest.mark.parametrize("last", [0, *range(4, 12)])
def test_counts_as_keras_counts(last: int) -> None:
    model = backbone()
    names = [one.name for one in model.layers[len(model.layers) - last :]]
    norm = keras.layers.BatchNormalization
    learns = [name for name in names if name.endswith("_conv")]
    assert list(unfreeze(model, last)) == learns
    assert not [one for one in model.layers if isinstance(one, norm) and one.trainable]


@pytest.mark.parametrize("change", [freeze, unfreeze])
@pytest.mark.parametrize("model", [None, "tiny"])
def test_what_is_no_model(change: Callable[[Any], Any], model: Any) -> None:
    with pytest.raises(HeadstartError, match=rf"cannot be a {type(model).__name__}\. Expected a K"):
        change(model)


def test_models_inside_a_model_are_counted_layer_by_layer() -> None:
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    tail = keras.Sequential([keras.layers.Dense(8, name="a"), keras.layers.Dense(8, name="b")])
    model = keras.Model(inputs, tail(backbone()(inputs)))
    model.trainable = False
    assert unfreeze(model, 1) == ("b",)
    assert unfreeze(model, 2) == ("a", "b")
    assert unfreeze(model, 6) == ("block3_conv", "a", "b")
    before = weights(model)
    train(with_head(model))
    assert moved(model, before) == {"block3_conv", "a", "b"}


def test_batch_norm_inside_a_layer_stays() -> None:
    class Pair(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="pair")
            self.dense = keras.layers.Dense(4)
            self.norm = keras.layers.BatchNormalization()

        def call(self, x: Any) -> Any:
            return self.norm(self.dense(x))

    inputs = keras.Input((4,))
    pair = Pair()
    model = keras.Model(inputs, pair(inputs))
    assert unfreeze(model, 1) == ("pair",)
    assert pair.dense.trainable
    assert not pair.norm.trainable


@pytest.mark.parametrize("last", [-1, 12, 1000, 2.5])
def test_a_number_that_is_not_there(last: Any) -> None:
    model = backbone()
    with pytest.raises(HeadstartError, match=rf"The last {last} layers of 'tiny'.*from 0 to 11"):
        unfreeze(model, last)
    assert not model.trainable_weights


@pytest.mark.parametrize("last", [1, 3])
def test_nothing_to_learn(last: int) -> None:
    model = backbone()
    unfreeze(model, 7)
    before = [one.trainable for one in model.layers]
    with pytest.raises(HeadstartError, match=r"cannot learn: they are .*GlobalAveragePooling2D\."):
        unfreeze(model, last)
    assert [one.trainable for one in model.layers] == before


@pytest.mark.parametrize("change", [freeze, lambda model: unfreeze(model, 7)])
def test_a_compiled_model_asks_to_be_compiled_again(change: Callable[[Any], Any]) -> None:
    model = with_head(backbone())
    train(model)
    change(model)
    with pytest.raises(ValueError, match=r"You must call `compile\(\)`"):
        model.fit(IMAGES, LABELS, verbose=0)
    before = weights(model)
    if model.trainable_weights:
        train(model)
        assert moved(model, before) == {"block3_conv", "answer"}


@pytest.fixture
def paths(image_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    own_cache(monkeypatch, tmp_path / "cache")
    return sorted(image_folder().rglob("*.jpg"))[:6]


def test_extract(paths: list[Path]) -> None:
    found = extract(paths, "tiny", image_size=SIZE, precision="float32")
    assert (str(found.dtype), found.shape) == ("float16", (6, 32))
    assert np.array_equal(found, expected_features(paths))
    mixed: list[str | bytes] = [str(paths[1]), paths[0].read_bytes()]
    same = extract(mixed, headstart.load_backbone("tiny"), image_size=SIZE, precision="float32")
    assert np.array_equal(same, found[[1, 0]])
    padded = extract(paths, "tiny", image_size=SIZE, precision="float32", resize="pad")
    assert np.array_equal(padded, expected_features(paths, "pad"))
    assert extract([], "tiny").shape == (0, 32)


def test_extract_at_a_cut(paths: list[Path]) -> None:
    found = extract(paths, "tiny", image_size=32, layer="block2_relu", precision="float32")
    assert found.shape == (6, 8, 8, 16)
    suffix = headstart.cut_at(backbone(), "block2_relu").suffix
    pooled = extract(paths, "tiny", image_size=32, precision="float32")
    assert np.allclose(np.asarray(suffix(found.astype(np.float32))), pooled, atol=2e-3)
    with pytest.raises(HeadstartError, match=r"'tiny' has no layer 'block9'"):
        extract(paths, "tiny", image_size=32, layer="block9", precision="float32")


def test_extract_shares_what_is_kept(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = paths[0].parent.parent
    recipe = headstart.Recipe(
        backbone="tiny", image_size=SIZE, resize="squash", unfreeze=0, precision="float32"
    )
    run = headstart.fit(folder, recipe)
    monkeypatch.setattr("headstart.prefix.Prefix.open", None)  # the engine is not to be started
    extract(paths, "tiny", image_size=SIZE, precision="float32")
    assert inner.extract(paths, run.classifier.prefix).computed == 0


def test_extract_names_bad_files(paths: list[Path], tmp_path: Path) -> None:
    bad = [tmp_path / f"bad{number}.jpg" for number in range(7)]
    for place in bad[1:]:
        place.write_text("no image")
    with pytest.raises(HeadstartError, match=r"7 of 13 .*bad0\.jpg \(cannot.*bad4.*; and 2 more\."):
        extract([*paths, *bad], "tiny", image_size=SIZE)
    message = r"2 of 2 images cannot be used: bytes at 0 \(not an image\); \S*bad1\.jpg \(not an"
    with pytest.raises(HeadstartError, match=message):
        extract([b"no image", bad[1]], "tiny", image_size=SIZE)


def test_extract_of_one_image_wants_a_list(paths: list[Path]) -> None:
    for one in (paths[0], str(paths[0]), b"bytes"):
        with pytest.raises(HeadstartError, match=r"Put it into a list: \[image\]"):
            extract(one, "tiny")  # type: ignore[arg-type]


SECOND = """
import sys, headstart
found = headstart.extract(sys.argv[1:], "tiny", image_size=32, layer="block2_relu")
print(found.shape, "keras" in sys.modules)
"""


def test_extract_at_a_cut_needs_keras_once(paths: list[Path]) -> None:
    extract(paths, "tiny", image_size=32)  # notes the layers
    told = [
        subprocess.run(
            [sys.executable, "-c", SECOND, *map(str, paths)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert told == ["(6, 8, 8, 16) True\n", "(6, 8, 8, 16) False\n"]
