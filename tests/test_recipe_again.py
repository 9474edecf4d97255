"""What a run writes as its recipe trains again: with a model of one's own, and with a preset."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import run_command
from own_models import SIDE, body, keras, layers, save, seeded, tutorial
from small_race import shrink_race
from tiny_run import CLASSES, trained

import headstart
from headstart import HeadstartError, ImageClassifier, Recipe, fit, progress, rank, read_recipe
from headstart.asked import changed
from headstart.backbones import load_backbone, short_name
from headstart.fit_options import FitOptions
from headstart.ranking.choice import find_candidates
from headstart.reporting.material import PAGE
from headstart.run import Run
from headstart.summary import ranking_text, run_summary

QUICK = Recipe(image_size=None, resize="squash", unfreeze=0, precision="float32")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that says how it wants its pixels, and one that does not."""
    folder = tmp_path_factory.mktemp("again")
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.GlobalAveragePooling2D()(body()(image))
    save(seeded(keras.Model(image, layers.Dense(2)(x))), folder, "silent.keras")
    save(tutorial(), folder, "earlier.keras")
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    """A run with a model that is named by a relative path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return fit(trained().photos, replace(QUICK, backbone="earlier.keras"), out="bundle")


@pytest.fixture
def there(place: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where all of it is, as the working directory."""
    monkeypatch.chdir(place)
    return place


def answers(classifier: Any) -> Any:
    return classifier.predict_proba([str(path) for path in trained().paths[:4]]).tolist()


@pytest.mark.parametrize("given", [Recipe, str, Path])
def test_the_recipe_of_a_run_gives_the_same_again(there: Path, run: Run, given: Any) -> None:
    recipe = run.recipe if given is Recipe else given("bundle/recipe.toml")
    again = fit(trained().photos, recipe)
    assert again.recipe == run.recipe
    assert not again.computed
    assert answers(again.classifier) == answers(run.classifier)


def test_an_estimator_takes_its_own_recipe(there: Path, run: Run) -> None:
    images, labels = [str(path) for path in trained().paths], list(CLASSES) * 20
    first = ImageClassifier(recipe=run.recipe).fit(images, labels)
    second = ImageClassifier(recipe=first.recipe_).fit(images, labels)
    assert second.recipe_ == first.recipe_
    assert first.recipe_.backbone == "earlier.keras"


def test_people_read_the_short_name(there: Path, run: Run) -> None:
    about = json.loads((there / "bundle" / "bundle.json").read_text())
    assert about["recipe"]["backbone"] == "earlier.keras"
    assert about["prefix"]["backbone"] == run.to_dict()["backbone"] == "own_earlier"
    assert run_summary(run).splitlines()[1].startswith("own_earlier, frozen")
    assert "| backbone | own_earlier, weights:" in (there / "bundle" / "README.md").read_text()
    assert "<bdi>own_earlier</bdi>" in (there / "bundle" / PAGE).read_text()


def test_a_file_that_has_moved_is_asked_for_and_can_be_given(
    there: Path, run: Run, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["fit", trained().photos, "--recipe", there / "bundle" / "recipe.toml", "--out", "b"]
    shutil.copy(there / "earlier.keras", "Earlier.keras")
    assert run_command(monkeypatch, *command) == 2
    told = capsys.readouterr().err
    assert "There is no model file 'earlier.keras'." in told
    assert "give --backbone PATH" in told
    assert run_command(monkeypatch, *command, "--backbone", "./Earlier.keras") == 0
    assert read_recipe("b/recipe.toml") == replace(run.recipe, backbone="./Earlier.keras")


def test_a_recipe_from_before_says_what_to_give(run: Run) -> None:
    with pytest.raises(HeadstartError, match=r"'own_earlier' is a model .* Give the path"):
        fit(trained().photos, replace(run.recipe, backbone="own_earlier"))
    with pytest.raises(HeadstartError, match=r"'hub_vit' is a preset .* hub:vit"):
        load_backbone("hub_vit", preprocessing="tf")


@pytest.mark.parametrize(
    ("before", "after", "preprocessing"),
    [
        ("earlier.keras", "moved/Earlier.keras", "unit"),
        ("own_earlier", "moved/earlier.keras", "unit"),
        ("earlier.keras", "other.keras", "auto"),
        ("earlier.keras", "resnet50", "auto"),
        ("earlier.keras", "auto", "auto"),
        ("hub:./vit", "hub:/there/vit", "unit"),
        ("hub:vit", "hub:kaggle://vit", "unit"),
        ("hub:vit", "hub:resnet", "auto"),
    ],
)
def test_preprocessing_stays_with_its_backbone(before: str, after: str, preprocessing: str) -> None:
    recipe = changed(Recipe(backbone=before, preprocessing="unit"), {"backbone": after})
    assert (recipe.backbone, recipe.preprocessing) == (after, preprocessing)
    given = changed(recipe, {"backbone": before, "preprocessing": "tf"})
    assert (given.backbone, given.preprocessing) == (before, "tf")


def test_the_command_line_takes_another_backbone(there: Path) -> None:
    options = FitOptions(recipe="bundle/recipe.toml", backbone="tiny")
    assert read_recipe("bundle/recipe.toml").preprocessing == "inside"
    assert options.to_recipe().preprocessing == "auto"


@pytest.mark.parametrize(
    ("name", "short"),
    [("A b.KERAS", "own_a_b"), ("hub:./My ViT", "hub_my_vit"), ("VGG-16", "vgg16")],
)
def test_short_names(name: str, short: str) -> None:
    assert short_name(name) == short
    assert short_name(short) == short


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"head": "mlp"}, r"recipe cannot be a dict\. Expected a Recipe, the path of a TOML file"),
        (3, r"recipe cannot be a int\."),
        ("frozn", r"The recipe 'frozn' cannot be read"),
    ],
)
@pytest.mark.parametrize("call", [fit, rank, headstart.check, headstart.cross_validate])
def test_a_recipe_that_is_none(call: Any, recipe: Any, message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        call(trained().photos, recipe)


def test_rank_tells_files_of_one_name_apart(
    there: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink_race(monkeypatch)
    (there / "b").mkdir(exist_ok=True)
    shutil.copy("silent.keras", "b/earlier.keras")
    recipe = replace(QUICK, preprocessing="unit")
    names = ["earlier.keras", "./b/earlier.keras"]
    found = rank(trained().photos, recipe, backbones=names, sizes=[SIDE])
    assert {one.backbone for one in found.rows} == set(names)
    assert found.best.name in found.reason
    printed = ranking_text(found)
    assert f"  --backbone {found.best.backbone} --image-size {SIDE}" in printed
    chosen = replace(recipe, backbone=found.best.backbone, image_size=found.best.image_size)
    again = fit(trained().photos, chosen)
    assert again.computed <= again.images["validation"] + again.images["test"]


def test_two_copies_of_a_model_are_one_candidate(there: Path) -> None:
    (there / "c").mkdir(exist_ok=True)
    shutil.copy("earlier.keras", "c/earlier.keras")
    told: list[str] = []
    with progress.listen(lambda event: told.append(event.message)):
        found = find_candidates(QUICK, ["earlier.keras", "c/earlier.keras"], [SIDE], "cpu")
    assert [recipe.backbone for _, recipe in found] == ["earlier.keras"]
    assert "c/earlier.keras is the same network as earlier.keras" in told
