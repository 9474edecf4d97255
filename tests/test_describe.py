"""What `headstart describe` tells of a bundle: frozen, fine-tuned, old or damaged."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import run_command
from tiny_run import CLASSES, RECIPE, fresh_cache, trained

import headstart
from headstart import bundle
from headstart.backbones import load_backbone
from headstart.description import Description, describe
from headstart.errors import HeadstartError
from headstart.frameworks import load_keras
from headstart.prefix import layer_table
from headstart.recipe import Recipe
from headstart.tuning import Tuning

TUNING = Tuning(epochs=5, learning_rate=3e-3, interpolate=False)
BEFORE = "frozen before the cut"


@functools.cache
def tuned() -> Path:
    """A bundle whose last 6 layers were fine-tuned, in the cache of `trained`."""
    place = trained().bundle.parent / "tuned"
    recipe = replace(RECIPE, unfreeze=6, augment="none", tuning=TUNING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(trained().cache))
        headstart.fit(trained().photos, recipe, out=place)
    return place


def changed(place: Path, folder: Path, **values: Any) -> Path:
    """A copy of a bundle that says something else of itself, with a checksum that fits."""
    shutil.copytree(place, folder)
    about = json.loads((folder / "bundle.json").read_text())
    about = {name: value for name, value in {**about, **values}.items() if value != "left out"}
    about["checksum"] = bundle._checksum(about)
    (folder / "bundle.json").write_text(json.dumps(about))
    return folder


def states(one: Description) -> dict[str, str]:
    assert one.layers is not None
    return {layer.name: layer.state for layer in one.layers}


def test_a_frozen_run() -> None:
    found = describe(trained().bundle)
    model = load_backbone("tiny").build((32, 32))
    layers = model.layers[1:]
    assert found.layers is not None
    assert [one.name for one in found.layers] == [one.name for one in layers]
    assert [one.kind for one in found.layers] == [type(one).__name__ for one in layers]
    assert [one.shape for one in found.layers] == [tuple(one.output.shape[1:]) for one in layers]
    assert [one.parameters for one in found.layers] == [one.count_params() for one in layers]
    assert set(states(found).values()) == {"", "frozen"}
    assert (found.cut, found.fine_tuning) == (None, None)
    (head,) = found.head
    assert (head.shape, head.parameters, head.state) == ((3,), 33 * 3, "learned")
    total = model.count_params() + 33 * 3
    assert found.parameters == {"all": total, "learned": 99, "frozen": total - 99}


def test_a_fine_tuned_run_tells_what_bundle_and_proof_say() -> None:
    found = describe(tuned())
    assert found.cut is not None
    assert found.fine_tuning is not None
    assert found.cut["layer"] == "block1_relu"
    norms = ["block2_bn", "block3_bn"]
    assert sorted(found.fine_tuning["moved"]) == sorted(["block2_conv", "block3_conv", *norms])
    expected = dict.fromkeys(("block1_conv", "block1_bn"), BEFORE)
    expected |= dict.fromkeys(("block2_conv", "block3_conv"), "learned")
    expected |= dict.fromkeys(norms, "scale and shift learned")
    assert {name: state for name, state in states(found).items() if state} == expected
    assert found.parameters is not None
    assert found.parameters["learned"] == 9 * (8 * 16 + 16 * 32) + 2 * (16 + 32) + 99


def test_as_text() -> None:
    frozen, text = str(describe(trained().bundle)), str(describe(tuned()))
    assert frozen.startswith("bundle: tiny at 32 x 32, squash, float32 on openvino; linear head")
    assert "3 classes: daisies, roses, tulips\n" in frozen
    assert re.search(r"\nblock +layers +output +parameters +state\n", frozen)
    assert re.search(r"\nblock2_conv .. pool +7 +32 +5,952 +frozen\n", frozen)
    assert re.search(r"\nhead_0 +1 +3 +99 +learned\n", frozen)
    assert "\nNot cut: all of the backbone is frozen" in frozen
    assert "Fine-tuned" not in frozen
    assert "\nCut behind block1_relu (16 x 16 x 8): what lies before ran once" in text
    assert "\nFine-tuned 5 epochs (best: " in text
    assert "learning rate 0.003; the weights lie 100% of the way" in text
    assert "\nBehind the cut 4 layers moved, and 0 stayed bit for bit the same." in text
    assert "\nData: photos; images: train 42, validation 6, test 12." in text
    accuracy = trained().run.evaluation.accuracy
    assert f"\nAccuracy: test {accuracy:.3f} (" in frozen


def test_every_layer_as_text() -> None:
    text = describe(tuned()).text(layers=True)
    assert re.search(r"\nlayer +kind +output +parameters +state\n", text)
    assert re.search(r"\nblock3_conv +Conv2D +4 x 4 x 32 +4,608 +learned\n", text)
    assert re.search(r"\nblock3_relu +ReLU +4 x 4 x 32 +0 +-\n", text)
    assert re.search(r"\nhead_0 +Dense, softmax +3 +99 +learned\n", text)


def test_not_better_than_frozen(tmp_path: Path) -> None:
    said = {"epochs": 3, "best_epoch": 1, "stopped": "patience", "learning_rate": 1e-4, "share": 0}
    folder = changed(trained().bundle, tmp_path / "same", fine_tuning={**said, "moved": ["x"]})
    text = str(describe(folder))
    assert "learning rate 0.0001; not better on validation than frozen, which was kept." in text
    assert set(states(describe(folder)).values()) == {"", "frozen"}
    late = changed(trained().bundle, tmp_path / "late", fine_tuning={"stopped": "time limit"})
    assert "\nAll layers stay frozen: time limit.\n" in str(describe(late))


def test_cut_before_everything(tmp_path: Path) -> None:
    suffix = json.loads((tuned() / "bundle.json").read_text())["suffix"]
    folder = changed(tuned(), tmp_path / "whole", suffix={**suffix, "layer": "image", "whole": 1})
    assert "Cut before everything" in str(describe(folder))
    found = states(describe(folder))
    assert found["block1_conv"] == "frozen behind the cut"
    assert found["block1_bn"] == "batch norm in inference mode"


@pytest.mark.parametrize("layers", [None, "left out"])
def test_where_the_layers_are_not_known(tmp_path: Path, layers: Any) -> None:
    found = describe(changed(trained().bundle, tmp_path / "old", layers=layers))
    assert (found.layers, found.parameters) == (None, None)
    assert "The backbone's layers are not known" in str(found)
    assert re.search(r"\nhead_0 +Dense, softmax +3 +99 +learned\n", found.text(layers=True))
    assert "Parameters" not in str(found)


def test_an_incomplete_bundle(tmp_path: Path) -> None:
    folder = changed(trained().bundle, tmp_path / "bad", layers=[{"name": "a"}])
    with pytest.raises(HeadstartError, match=r"'.*bad' is incomplete: .*Train again"):
        describe(folder)
    with pytest.raises(HeadstartError, match="'nothing' is no bundle"):
        describe("nothing")


def test_many_classes_are_cut_short(tmp_path: Path) -> None:
    found = replace(describe(trained().bundle), class_names=tuple("abcdefghijk"))
    assert "11 classes: a, b, c, d, e, f, g, h and 3 more\n" in str(found)


@pytest.mark.parametrize("option", ["", "--layers", "--json"])
def test_on_the_command_line(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(monkeypatch, "describe", tuned(), *option.split()) == 0
    printed, told = capsys.readouterr()
    found = describe(tuned())
    assert told == ""
    if option == "--json":
        assert json.loads(printed) == json.loads(json.dumps(found.to_dict()))
    else:
        assert printed == f"{found.text(layers=bool(option))}\n"


def test_a_bad_folder_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(monkeypatch, "describe", "nothing") == 2
    assert capsys.readouterr().err.startswith("Error: 'nothing' is no bundle")


SECOND_RUN = """
import sys, headstart
headstart.fit(sys.argv[1], headstart.Recipe(**{recipe}), out="again")
print(len(headstart.describe("again").layers), "keras" in sys.modules, "tensorflow" in sys.modules)
"""


def test_a_second_run_knows_the_layers_without_keras(tmp_path: Path) -> None:
    code = SECOND_RUN.replace("{recipe}", repr(RECIPE.to_dict()))
    done = subprocess.run(
        [sys.executable, "-c", code, str(trained().photos)],
        cwd=tmp_path,
        env={**os.environ, "HEADSTART_CACHE": str(trained().cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["11", "False", "False"]


def test_a_cache_of_before_knows_none_until_keras_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = fresh_cache(monkeypatch, tmp_path / "cache")
    (digests,) = cache.glob("prefixes/tiny-32*/prefix.json")
    said = json.loads(digests.read_text())
    layers = said.pop("layers")
    digests.write_text(json.dumps(said))
    prefix = trained().run.classifier.prefix
    assert prefix.layers() == layers == layer_table(load_backbone("tiny").build((32, 32)))
    monkeypatch.delitem(sys.modules, "keras")
    assert prefix.layers() is None


def test_blocks_are_those_of_the_network() -> None:
    rows = layer_table(load_backbone("efficientnet_lite0", weights=None).build((64, 64)))
    last = {row["block"]: row["name"] for row in rows}
    assert len(last) == 16
    assert last[15] == "block6_14_add"
    assert sum(row["parameters"] for row in rows) == 3_413_024
    by_name = {row["name"]: row["cut"] for row in rows}
    assert by_name["block6_14_add"]
    assert not by_name["block6_14_expand"]


def test_a_layer_with_two_outputs_has_the_shape_of_the_first() -> None:
    keras: Any = load_keras()

    class Two(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x, x[:, :2]

    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Concatenate(name="joined")(Two(name="two")(x)))
    assert [(row["name"], row["shape"]) for row in layer_table(model)] == [
        ("two", [4]),
        ("joined", [6]),
    ]


def test_names() -> None:
    assert headstart.describe is describe
    assert headstart.describe(trained().bundle).class_names == CLASSES
    assert headstart.read_recipe("tutorial") == Recipe(
        **headstart.read_recipe("tutorial").to_dict()
    )
