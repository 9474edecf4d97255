from __future__ import annotations

import json

import pytest

from headstart.errors import HeadstartError
from headstart.recipe import Recipe, recipe_from_dict


def test_default_is_valid_and_survives_json() -> None:
    recipe = Recipe(image_size=384, head="mlp", seed=7)
    assert recipe.image_size == (384, 384)
    assert recipe_from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe_from_dict(Recipe().to_dict()) == Recipe()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resize": "stretch"}, "resize cannot be 'stretch'. Expected one of: squash"),
        ({"head": "tree"}, "head cannot be 'tree'"),
        ({"class_weight": "some"}, "class_weight cannot be"),
        ({"precision": "float64"}, "precision cannot be"),
        ({"image_size": 0}, "image size cannot be"),
        ({"image_size": (224,)}, "image size cannot be"),
        ({"image_size": 99999}, "from 1 to 2048"),
        ({"seed": -1}, "seed cannot be -1"),
        ({"test_fraction": 0.7}, "test_fraction cannot be 0.7"),
        ({"validation_fraction": 0}, "validation_fraction cannot be 0"),
    ],
)
def test_bad_choices(values: dict[str, object], message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        Recipe(**values)  # type: ignore[arg-type]


def test_unknown_names() -> None:
    with pytest.raises(HeadstartError, match="Unknown names in the recipe: colour"):
        recipe_from_dict({"colour": 1})
