"""From a preset of KerasHub to a bundle: kept features, fine-tuning, prediction without it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_image_folder

import headstart
from headstart.classifier import Classifier
from headstart.cut import Cut, cut_at
from headstart.finetune.learner import Learner
from headstart.heads import Head
from headstart.ranking.choice import find_candidates
from headstart.recipe import Recipe
from headstart.tuning import Tuning

presets = pytest.importorskip("hub_presets", reason="keras-hub is not installed (the extra hub)")
SIDE = presets.SIDE
QUICK: dict[str, Any] = {"resize": "squash", "precision": "float32"}

AGAIN = """
import sys, headstart
from headstart.ranking.choice import find_candidates
from headstart.recipe import Recipe
choices = {"image_size": None, "resize": "squash", "unfreeze": 0, "precision": "float32"}
run = headstart.fit(sys.argv[1], Recipe(backbone=sys.argv[2], **choices))
assert run.computed == 0
print(headstart.load(sys.argv[3]).predict_proba([sys.argv[4]]).tolist())
print(sorted({"keras", "keras_hub", "tensorflow"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_image_folder(tmp_path_factory.mktemp("data") / "photos", per_class=8)


def test_from_preset_to_bundle(photos: Path, tmp_path: Path) -> None:
    preset, out = tmp_path / "Small DINO", tmp_path / "bundle"
    presets.write("DINOV2", preset)
    run = headstart.fit(
        photos, Recipe(backbone=f"hub:{preset}", image_size=None, unfreeze=0, **QUICK), out=out
    )
    side = (SIDE, SIDE)
    assert (run.recipe.backbone, run.recipe.image_size) == (f"hub:{preset}", side)
    assert run.to_dict()["backbone"] == "hub_small_dino"
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "| backbone | hub_small_dino, weights: those of the preset" in card
    assert "| source | KerasHub, DINOV2Backbone, preset Small DINO |" in card
    image = next(photos.rglob("*.jpg"))
    program = [sys.executable, "-c", AGAIN, *map(str, (photos, f"hub:{preset}", out, image))]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    probabilities, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    shutil.rmtree(preset)
    classifier = headstart.load(out)
    assert isinstance(classifier, Classifier)
    assert classifier.predict_proba([image]).tolist() == json.loads(probabilities)
    kinds = [layer.kind for layer in headstart.describe(out).layers or ()]
    assert kinds.count("DINOV2Layer") == 2


@pytest.mark.parametrize(
    ("name", "unfreeze", "moved", "layer_decay"),
    [
        ("ViT", "block", {"transformer_block_2", "ln"}, 1.0),
        ("SigLIP", "all", {"head", "post_layer_norm", "encoder_block_1", "embedding"}, 0.5),
    ],
)
def test_the_last_layers_learn(
    name: str,
    unfreeze: int | str,
    moved: set[str],
    layer_decay: float,
    photos: Path,
    tmp_path: Path,
) -> None:
    recipe = Recipe(
        backbone=f"hub:{presets.written(name).folder}",
        image_size=None,
        unfreeze=unfreeze,
        kept_views=1,
        augment="light",
        tuning=Tuning(epochs=1, learning_rate=0.003, batch_size=16, layer_decay=layer_decay),
        **QUICK,
    )
    run = headstart.fit(photos, recipe, out=tmp_path / "bundle")
    assert run.fine_tuning is not None
    assert all(any(one.endswith(end) for one in run.fine_tuning["moved"]) for end in moved)
    images = sorted(photos.rglob("*.jpg"))[:3]
    loaded = headstart.load(tmp_path / "bundle")
    np.testing.assert_allclose(
        loaded.predict_proba(images), run.classifier.predict_proba(images), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (None, {("VGG", 160), ("VGG", 224), ("VGG", 320), ("VGG", 448), ("ViT", 32)}),
        ([32, 40], {("VGG", 32), ("VGG", 40), ("ViT", 32)}),
    ],
)
def test_rank_tries_the_sizes_that_a_preset_takes(
    sizes: list[int] | None, expected: set[tuple[str, int]]
) -> None:
    names = {f"hub:{presets.written(name).folder}": name for name in ("VGG", "ViT")}
    found = find_candidates(Recipe(image_size=SIDE, **QUICK), list(names), sizes, "cpu")
    assert {
        (names[f"hub:{prefix.backbone.weights}"], recipe.image_size[0])
        for prefix, recipe in found
        if prefix.backbone is not None and isinstance(recipe.image_size, tuple)
    } == expected
    assert len(found) == len(expected)


def one_step(cut: Cut, **choices: Any) -> None:
    """Train suffix and a random head on one batch of random inputs."""
    rng = np.random.default_rng(0)
    width = cut.suffix.output.shape[-1]
    head = Head("linear", ((rng.normal(size=(width, 2)).astype(np.float32), np.zeros(2, "f4")),))
    learner = Learner(cut, head, Tuning(**choices), seed=0)
    inputs = rng.normal(size=(4, *cut.suffix.input.shape[1:])).astype(np.float32)
    learner.step(inputs, np.eye(2, dtype=np.float32)[[0, 1, 0, 1]], np.ones(4, "f4"), 0.01)


def test_batch_norm_inside_a_layer_stays_as_it_is() -> None:
    model = presets.written("MobileNet").loaded.build((SIDE, SIDE))
    block = model.get_layer("block_2_1")
    norm = presets.keras.layers.BatchNormalization
    inner = [one for one in block._flatten_layers() if isinstance(one, norm)]
    assert len(inner) == 3
    before = [value for one in inner for value in one.get_weights()]
    all_before = block.get_weights()
    one_step(cut_at(model, "block_2_0"))
    after = [value for one in inner for value in one.get_weights()]
    assert all(map(np.array_equal, before, after))
    assert not all(map(np.array_equal, all_before, block.get_weights()))


def test_blocks_further_from_the_output_learn_less() -> None:
    model = presets.written("ViT").loaded.build((SIDE, SIDE))
    blocks = [model.get_layer(f"transformer_block_{number}") for number in (1, 2)]
    before = [block.get_weights() for block in blocks]
    one_step(cut_at(model, "vit_patching_and_embedding"), layer_decay=0.1, weight_decay=0)
    moved = [
        max(
            float(np.abs(new - old).max())
            for new, old in zip(block.get_weights(), was, strict=True)
        )
        for block, was in zip(blocks, before, strict=True)
    ]
    np.testing.assert_allclose(moved, [1e-3, 1e-2], rtol=0.05)
