"""Recipes as TOML files, the recipes that have a name, and the options of the command line."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from headstart.errors import HeadstartError
from headstart.fit_options import Augment, FitOptions, HeadName, Optimizer
from headstart.recipe import NAMED, Recipe, read_recipe, write_recipe
from headstart.tuning import Tuning, tuning_from_dict

TUNED = Recipe(
    backbone="tiny",
    weights=None,
    image_size=(32, 48),
    unfreeze="block2",
    flip=False,
    views=2,
    tuning=Tuning(learning_rate=1e-5, epochs=3, clip_norm=0),
)


@pytest.mark.parametrize("recipe", [*NAMED.values(), TUNED, Recipe(unfreeze=20, head_epochs=7)])
def test_a_recipe_comes_back_from_its_file(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(write_recipe(recipe), encoding="utf-8")
    assert read_recipe(tmp_path / "run.toml") == recipe


def test_some_choices_are_enough(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('head = "mlp"\n[tuning]\nlearning_rate = 1e-5\n')
    expected = Recipe(head="mlp", tuning=Tuning(learning_rate=1e-5))
    assert read_recipe(tmp_path / "run.toml") == expected


def test_as_windows_writes_it(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('head = "mlp"\r\nunfreeze = "4"', encoding="utf-8-sig")
    assert read_recipe(tmp_path / "run.toml") == Recipe(head="mlp", unfreeze=4)


def test_names_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    odd = Recipe(backbone="odd \udcff.keras")
    (tmp_path / "run.toml").write_text(write_recipe(odd), encoding="utf-8")
    assert read_recipe(tmp_path / "run.toml").backbone == "odd \\xff.keras"


def test_the_tutorial_has_its_numbers() -> None:
    recipe = read_recipe("tutorial")
    assert (recipe.head, recipe.head_epochs, recipe.unfreeze) == ("mlp", 10, 20)
    tuning = recipe.tuning
    assert (tuning.optimizer, tuning.learning_rate, tuning.epochs) == ("adam", 1e-5, 10)
    assert (tuning.dropout, tuning.label_smoothing, tuning.weight_decay) == (0.3, 0, 0)
    assert recipe.augment == "none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", r"Unknown names in the recipe: colour\."),
        ("[tuning]\nspeed = 1", r"Unknown names in the tuning: speed\."),
        (
            "head = ",
            r"run\.toml' cannot be read: .* Expected a TOML file, or one of: default, frozen, tut",
        ),
        ("tuning = 3", r"tuning cannot be 3\. Expected a table of choices\."),
        ("unfreeze = -1", r"unfreeze cannot be -1\. Expected a number of layers"),
        ("unfreeze = true", r"unfreeze cannot be True\."),
        ("flip = 1", r"flip cannot be 1\. Expected true or false\."),
        ("views = 13", r"views cannot be 13\. Expected a whole number from 1 to 12\."),
        ("views = 7\nflip = false", r"views cannot be 7\. Expected a whole number from 1 to 6\."),
        ("kept_views = 0", r"kept_views cannot be 0\."),
        ("head_epochs = 0", r"head_epochs cannot be 0\."),
    ],
)
def test_a_file_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    with pytest.raises(HeadstartError, match=message):
        read_recipe(tmp_path / "run.toml")


def test_no_such_file() -> None:
    with pytest.raises(HeadstartError, match=r"The recipe 'missing\.toml' cannot be read"):
        read_recipe("missing.toml")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("optimizer", "sgd", r"optimizer cannot be 'sgd'\. Expected one of: adamw, adam\."),
        ("schedule", "step", r"schedule cannot be 'step'"),
        ("learning_rate", 0, r"learning_rate cannot be 0\. Expected a number above 0 to 1\."),
        ("learning_rate", float("nan"), r"learning_rate cannot be nan"),
        ("epochs", 0, r"epochs cannot be 0\. Expected a whole number from 1 to 10,000\."),
        ("epochs", True, r"epochs cannot be True"),
        ("patience", 1.5, r"patience cannot be 1\.5"),
        ("batch_size", 5000, r"batch_size cannot be 5000"),
        ("warmup", 0.6, r"warmup cannot be 0\.6\. Expected a number from 0 to 0\.5\."),
        ("layer_decay", 0, r"layer_decay cannot be 0"),
        ("weight_decay", -1, r"weight_decay cannot be -1"),
        ("label_smoothing", 0.9, r"label_smoothing cannot be 0\.9"),
        ("dropout", "much", r"dropout cannot be 'much'"),
        ("clip_norm", -1, r"clip_norm cannot be -1"),
        ("mixup", 11, r"mixup cannot be 11"),
        ("interpolate", "yes", r"interpolate cannot be 'yes'\. Expected true or false\."),
    ],
)
def test_a_choice_of_fine_tuning_that_is_none(name: str, value: object, message: str) -> None:
    with pytest.raises(HeadstartError, match=f"^{message}"):
        tuning_from_dict({name: value})


def test_without_options_it_is_the_default() -> None:
    assert FitOptions().to_recipe() == Recipe()
    shared = {field.name for field in fields(Recipe)} | {field.name for field in fields(Tuning)}
    missing = {"tuning", "validation_fraction", "test_fraction", "interpolate"}
    assert shared - {field.name for field in fields(FitOptions)} == missing


def test_options_go_before_the_recipe() -> None:
    options = FitOptions(
        recipe="tutorial",
        unfreeze="block6",
        head=HeadName.LINEAR,
        learning_rate=1e-4,
        optimizer=Optimizer.ADAMW,
        augment=Augment.LIGHT,
        weights="none",
        flip=False,
    )
    recipe = options.to_recipe()
    assert (recipe.unfreeze, recipe.head, recipe.augment) == ("block6", "linear", "light")
    assert (recipe.tuning.learning_rate, recipe.tuning.optimizer) == (1e-4, "adamw")
    assert (recipe.weights, recipe.flip) == (None, False)
    assert (recipe.head_epochs, recipe.tuning.epochs) == (10, 10)  # as the tutorial says


@pytest.mark.parametrize(("text", "value"), [("20", 20), ("0", 0), ("all", "all")])
def test_a_number_of_layers_is_a_number(text: str, value: int | str) -> None:
    assert FitOptions(unfreeze=text).to_recipe().unfreeze == value
