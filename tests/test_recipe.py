from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from headstart import fit_options, network_options
from headstart.backbones.own_pixels import CHOICES
from headstart.engine import PRECISIONS
from headstart.errors import HeadstartError
from headstart.recipe import (
    AUGMENTS,
    CLASS_WEIGHTS,
    HEADS,
    LARGEST_SIZE,
    RESIZES,
    Recipe,
    recipe_from_dict,
)
from headstart.tuning import OPTIMIZERS, SCHEDULES

SIZE = r"Expected a height and a width from 1 to 2048 pixels, 'own' \(the backbone's\), or 'auto'\."
SEED = r"Expected a whole number from 0 to 2\^32 - 1\."
FRACTION = r"Expected a number between 0 and 0\.5\."


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(image_size=384, head="mlp", seed=2**32 - 1),
        Recipe(image_size=(1, LARGEST_SIZE), weights=None, backbone="resnet50"),
        Recipe(weights="my weights.h5", validation_fraction=0.49, test_fraction=0.01),
    ],
)
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    values = json.loads(json.dumps(recipe.to_dict(), allow_nan=False))
    assert set(values) == {field.name for field in fields(Recipe)}
    assert recipe_from_dict(values) == recipe


def test_some_of_the_names_are_enough() -> None:
    assert recipe_from_dict({"seed": 3}) == Recipe(seed=3)
    assert recipe_from_dict({}) == Recipe()


@pytest.mark.parametrize(
    ("image_size", "pair"),
    [(None, None), (384, (384, 384)), ((200, 300), (200, 300)), ([200, 300], (200, 300))],
)
def test_an_image_size_is_a_pair(image_size: Any, pair: tuple[int, int] | None) -> None:
    assert Recipe(image_size=image_size).image_size == pair


@pytest.mark.parametrize(
    ("size", "pair"), [(None, None), (64, (64, 64)), ((10, 20), (10, 20)), ([10, 20], (10, 20))]
)
def test_height_and_width(size: Any, pair: tuple[int, int] | None) -> None:
    assert Recipe(image_size=size).height_and_width == pair


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("resize", RESIZES),
        ("head", HEADS),
        ("class_weight", CLASS_WEIGHTS),
        ("precision", PRECISIONS),
    ],
)
@pytest.mark.parametrize("value", ["other", "AUTO", "", None, 1, ["auto"]])
def test_only_the_listed_choices(name: str, allowed: tuple[str, ...], value: object) -> None:
    for good in allowed:
        assert recipe_from_dict({name: good}).to_dict()[name] == good
    with pytest.raises(HeadstartError) as told:
        recipe_from_dict({name: value})
    assert str(told.value) == f"{name} cannot be {value!r}. Expected one of: {', '.join(allowed)}."


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("image_size", 0, rf"The image size cannot be 0\. {SIZE}"),
        ("image_size", -224, rf"The image size cannot be -224\. {SIZE}"),
        ("image_size", 2049, rf"The image size cannot be 2049\. {SIZE}"),
        ("image_size", 224.0, rf"The image size cannot be 224\.0\. {SIZE}"),
        ("image_size", "224", rf"The image size cannot be '224'\. {SIZE}"),
        ("image_size", True, rf"The image size cannot be True\. {SIZE}"),
        ("image_size", (224, True), rf"The image size cannot be \(224, True\)\. {SIZE}"),
        ("image_size", (224,), rf"The image size cannot be \(224,\)\. {SIZE}"),
        ("image_size", [1, 2, 3], rf"The image size cannot be \[1, 2, 3\]\. {SIZE}"),
        ("image_size", (0, 224), rf"The image size cannot be \(0, 224\)\. {SIZE}"),
        ("image_size", (224, None), rf"The image size cannot be \(224, None\)\. {SIZE}"),
        ("seed", -1, rf"The seed cannot be -1\. {SEED}"),
        ("seed", 2**32, rf"The seed cannot be 4294967296\. {SEED}"),
        ("seed", 1.0, rf"The seed cannot be 1\.0\. {SEED}"),
        ("seed", True, rf"The seed cannot be True\. {SEED}"),
        ("seed", None, rf"The seed cannot be None\. {SEED}"),
        ("test_fraction", 0.5, rf"test_fraction cannot be 0\.5\. {FRACTION}"),
        ("test_fraction", 1, rf"test_fraction cannot be 1\. {FRACTION}"),
        ("test_fraction", float("nan"), rf"test_fraction cannot be nan\. {FRACTION}"),
        ("test_fraction", "0.2", rf"test_fraction cannot be '0\.2'\. {FRACTION}"),
        ("validation_fraction", 0, rf"validation_fraction cannot be 0\. {FRACTION}"),
        ("validation_fraction", None, rf"validation_fraction cannot be None\. {FRACTION}"),
        ("backbone", "", r"backbone cannot be ''\. Expected a name such as 'efficientnet_lite0'\."),
        ("backbone", None, r"backbone cannot be None\. Expected a name"),
        ("weights", "", r"weights cannot be ''\. Expected 'imagenet', the path of a file, or None"),
        ("unfreeze", "", r"unfreeze cannot be ''\. Expected a number of layers"),
        ("weights", 5, r"weights cannot be 5\. Expected 'imagenet'"),
    ],
)
def test_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(HeadstartError, match=f"^{message}"):
        recipe_from_dict({name: value})


@pytest.mark.parametrize(("weights", "told"), [(None, "'none'"), ("a.h5", "'a.h5'")])
def test_which_backbone_suits_is_found_with_weights_of_its_own(
    weights: str | None, told: str
) -> None:
    message = rf"^The backbone cannot be found out with the weights {told}\. Expected 'imagenet'"
    with pytest.raises(HeadstartError, match=message):
        Recipe(backbone="auto", weights=weights)


@pytest.mark.parametrize(("text", "value"), [("4", 4), ("0", 0), ("4a", "4a")])
def test_digits_are_a_number_of_layers(text: str, value: int | str) -> None:
    assert Recipe(unfreeze=text).unfreeze == value


def test_unknown_names_are_listed_with_those_there_are() -> None:
    message = r"Unknown names in the recipe: colour, size\. Expected some of: augment, backbone"
    with pytest.raises(HeadstartError, match=message):
        recipe_from_dict({"size": 1, "colour": 1, "seed": 1})


@pytest.mark.parametrize(
    ("option", "choices"),
    [
        (network_options.Resize, RESIZES),
        (fit_options.HeadName, HEADS),
        (network_options.ClassWeight, CLASS_WEIGHTS),
        (network_options.Precision, PRECISIONS),
        (fit_options.Augment, AUGMENTS),
        (fit_options.Optimizer, OPTIMIZERS),
        (fit_options.Schedule, SCHEDULES),
        (fit_options.Preprocessing, CHOICES),
    ],
)
def test_the_command_line_offers_the_same(option: Any, choices: tuple[str, ...]) -> None:
    assert {one.value for one in option} == set(choices)
