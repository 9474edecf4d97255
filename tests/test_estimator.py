"""`ImageClassifier`: kinds of images and labels, searches, pickling, fine-tuning, and refusals."""

from __future__ import annotations

import dataclasses
import io
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_image
from PIL import Image
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from tiny_run import trained

from headstart.errors import HeadstartError
from headstart.estimator import ImageClassifier
from headstart.images import BadImage
from headstart.locations import cache_root
from headstart.recipe import NAMED, Recipe
from headstart.tuning import Tuning

PER_CLASS = 8
LABELS = np.repeat(["blue", "red"], PER_CLASS)
TINY = Recipe(backbone="tiny", image_size=32, resize="squash", unfreeze=0, precision="float32")


def make_arrays() -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    hues = np.repeat([0.6, 0.0], PER_CLASS)
    return np.stack([np.asarray(make_image(rng, hue, (24, 32))) for hue in hues])


ARRAYS = make_arrays()


def tiny(**choices: Any) -> ImageClassifier:
    return ImageClassifier(recipe=TINY, **choices)


@pytest.fixture(scope="module")
def fitted() -> ImageClassifier:
    return tiny().fit(ARRAYS, LABELS)


def png(array: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def test_what_a_fit_gives(fitted: ImageClassifier) -> None:
    probabilities = fitted.predict_proba(ARRAYS)
    assert fitted.classes_.tolist() == ["blue", "red"]
    assert probabilities.shape == (16, 2)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(16), abs=1e-6)
    assert fitted.score(ARRAYS, LABELS) > 0.9
    assert fitted.classifier_.class_names == ("blue", "red")
    assert fitted.recipe_.head == "linear"
    assert fitted.details_["head"]["cv_images"] == 16  # every image is learned from
    assert fitted.details_["fine_tuning"] is None


def as_paths(folder: Path) -> list[Path]:
    paths = [folder / f"{number:02}.png" for number in range(len(ARRAYS))]
    for path, array in zip(paths, ARRAYS, strict=True):
        path.write_bytes(png(array))
    return paths


@pytest.mark.parametrize(
    "convert",
    [
        list,
        lambda arrays: [Image.fromarray(one) for one in arrays],
        lambda arrays: [png(one) for one in arrays],
        lambda arrays: np.array([png(one) for one in arrays], object)[:, None],
    ],
    ids=["arrays", "pillow", "bytes", "column"],
)
def test_kinds_of_images(fitted: ImageClassifier, convert: Any) -> None:
    assert np.array_equal(fitted.predict_proba(convert(ARRAYS)), fitted.predict_proba(ARRAYS))


@pytest.mark.parametrize("kind", [list, lambda paths: [str(one) for one in paths], np.array])
def test_paths(fitted: ImageClassifier, tmp_path: Path, kind: Any) -> None:
    images = kind(as_paths(tmp_path))
    assert np.array_equal(fitted.predict_proba(images), fitted.predict_proba(ARRAYS))
    assert np.array_equal(tiny().fit(images, LABELS).predict(images), fitted.predict(ARRAYS))


def test_grey_images_and_images_of_different_sizes(fitted: ImageClassifier) -> None:
    assert tiny().fit(ARRAYS[..., 0], LABELS).predict(ARRAYS[:3, ..., 0]).shape == (3,)
    assert fitted.predict([ARRAYS[0], ARRAYS[1, :20], ARRAYS[2, ..., 0]]).shape == (3,)


@pytest.mark.parametrize(
    "labels",
    [
        np.repeat([7, -1], PER_CLASS),
        np.repeat([True, False], PER_CLASS),
        np.repeat([2.0, 1.0], PER_CLASS),
        np.repeat(np.array(["é", "a b"], object), PER_CLASS),
        np.repeat([1, 2], PER_CLASS).tolist(),
    ],
    ids=["int", "bool", "float", "object", "list"],
)
def test_kinds_of_labels(labels: Any) -> None:
    estimator = tiny().fit(ARRAYS, labels)
    assert np.array_equal(estimator.classes_, np.unique(labels))
    assert estimator.score(ARRAYS, labels) > 0.9
    assert estimator.predict(ARRAYS).dtype == np.asarray(labels).dtype


@pytest.mark.parametrize("choices", [{}, {"recipe": dataclasses.replace(TINY, views=2)}])
def test_kept_features_answer_as_the_classifier_does(choices: dict[str, Any]) -> None:
    estimator = tiny().set_params(**choices).fit(ARRAYS, LABELS)
    answers = estimator.classifier_.predict_proba(list(ARRAYS))
    assert np.array_equal(estimator.predict_proba(ARRAYS), answers)


def test_the_recipe_that_the_parameters_make() -> None:
    estimator = tiny(
        image_size=np.int64(40), head="prototype", flip=False, epochs=3, random_state=np.int32(5)
    )
    assert estimator._choices() == dataclasses.replace(
        TINY, image_size=40, head="prototype", flip=False, tuning=Tuning(epochs=3), seed=5
    )
    assert ImageClassifier()._choices() == NAMED["frozen"]
    drawn = tiny(random_state=np.random.RandomState(1))._choices().seed
    assert drawn == tiny(random_state=np.random.RandomState(1))._choices().seed != 0


def test_parameters_are_kept_as_they_are() -> None:
    estimator = tiny(head="nonsense", random_state=np.random.RandomState(0))
    assert estimator.get_params()["recipe"] is TINY
    assert clone(estimator).get_params()["head"] == "nonsense"
    assert "head='nonsense'" in repr(estimator)
    assert is_classifier(estimator)
    assert not get_tags(estimator).input_tags.two_d_array


def test_cross_validation_computes_each_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny().fit(ARRAYS, LABELS)
    monkeypatch.setattr("headstart.prefix.Prefix.open", lambda self: pytest.fail("computed anew"))
    scores = cross_val_score(tiny(), ARRAYS, LABELS, cv=2)
    assert scores.shape == (2,)


def test_a_search_in_a_pipeline() -> None:
    pipeline = make_pipeline(FunctionTransformer(list), tiny())
    grid = {
        "imageclassifier__head": ["linear", "prototype"],
        "imageclassifier__image_size": [24, (32, 40)],
    }
    search = GridSearchCV(pipeline, grid, cv=2).fit(list(ARRAYS), LABELS)
    assert search.score(list(ARRAYS), LABELS) > 0.9
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_pickled_estimator_needs_no_cache(
    fitted: ImageClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fitted.predict_proba(ARRAYS)
    content = pickle.dumps(fitted)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    restored = pickle.loads(content)
    assert np.array_equal(restored.predict_proba(ARRAYS), expected)
    assert np.array_equal(pickle.loads(pickle.dumps(restored)).predict_proba(ARRAYS), expected)
    folder = restored.classifier_.prefix.folder
    assert folder.is_dir()
    del restored
    assert not folder.exists()


def test_an_estimator_without_a_fit_can_be_pickled() -> None:
    assert (
        pickle.loads(pickle.dumps(tiny(head="mlp"))).get_params() == tiny(head="mlp").get_params()
    )


@pytest.mark.parametrize(("epochs", "watched"), [(None, True), (1, False)])
def test_what_stops_by_validation_sets_a_part_aside(epochs: int | None, watched: bool) -> None:
    recipe = dataclasses.replace(TINY, head="mlp", head_epochs=epochs, validation_fraction=0.25)
    estimator = ImageClassifier(recipe=recipe).fit(ARRAYS, LABELS)
    assert bool(estimator.details_["head"]["validation_loss"]) == watched


def test_fine_tuning() -> None:
    estimator = tiny(unfreeze="block", epochs=2, learning_rate=0.01, augment="none").fit(
        ARRAYS, LABELS
    )
    assert estimator.details_["fine_tuning"]["epochs"] == 2
    assert estimator.classifier_.prefix.suffix is not None
    assert not list((cache_root() / "runs").iterdir())  # no checkpoint is left
    assert estimator.score(ARRAYS, LABELS) > 0.9
    restored = pickle.loads(pickle.dumps(estimator))
    assert np.array_equal(restored.predict_proba(ARRAYS), estimator.predict_proba(ARRAYS))


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (
            ARRAYS / 255,
            r"X is an array of float64 \(16, 24, 32, 3\)\. Expected.* Convert it to uint8",
        ),
        (ARRAYS[..., :2], r"X is an array of uint8 \(16, 24, 32, 2\)\. Expected"),
        (ARRAYS[0], r"one array \(24, 32, 3\), which looks like a single image.* list: \[image\]"),
        ("a.png", r"X is a single str\. Expected.* list: \[image\]"),
        ([], r"X has no images\. Expected.* Give at least one"),
        (3, r"X is a int\. Expected a sequence"),
        ([ARRAYS[0], ARRAYS[1] / 255.0], r"Image 2 of X is an array of float64 \(24, 32, 3\)"),
        ([ARRAYS[0], 3], r"Image 2 of X is a int\. Expected"),
    ],
)
def test_what_is_no_image(images: Any, text: str) -> None:
    with pytest.raises(HeadstartError, match=text):
        tiny().fit(images, LABELS[: len(images)] if hasattr(images, "__len__") else LABELS)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (LABELS[1:], r"X has 16 images and y has 15 labels\. Expected one label"),
        (["a"] * 16, r"All of y is one class, 'a'\. Expected at least two\. Add"),
        (None, r"requires y to be passed, but the target y is None\. Expected one label"),
        (np.linspace(0, 1, 16), "Unknown label type"),
    ],
)
def test_labels_that_do_not_fit(labels: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        tiny().fit(ARRAYS, labels)


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ({"head": "forest"}, r"head cannot be 'forest'\. Expected one of: auto, linear"),
        ({"recipe": {"head": "mlp"}}, r"recipe cannot be a dict\. Expected a Recipe, the path"),
        ({"time_limit": 0}, r"The time limit cannot be 0\. Expected seconds, more than 0"),
        ({"backbone": "big"}, "big"),
        ({"device": "tpu"}, "Unknown device 'tpu'"),
    ],
)
def test_choices_that_do_not_exist(choices: dict[str, Any], text: str) -> None:
    with pytest.raises(HeadstartError, match=text):
        tiny().set_params(**choices).fit(ARRAYS, LABELS)


def test_broken_images_are_named(fitted: ImageClassifier, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(png(ARRAYS[0])[:60])
    text = r"1 of 16 images cannot be used, the first is image 2: not an image\. Expected.*Replace"
    with pytest.raises(BadImage, match=text):
        tiny().fit([png(ARRAYS[0]), b"no image", *ARRAYS[2:]], LABELS)
    with pytest.raises(BadImage, match=r"the first is '.*broken\.png': broken"):
        fitted.predict([path])
    with Image.open(path) as image, pytest.raises(BadImage, match=r"Image 1 of X is broken: .*"):
        fitted.predict([image])


def test_predict_comes_after_fit() -> None:
    with pytest.raises(NotFittedError):
        tiny().predict(ARRAYS)


def test_ctrl_c_ends_a_search_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.learning.Learned.interrupted", True)
    with pytest.raises(KeyboardInterrupt):
        tiny().fit(ARRAYS, LABELS)


def test_the_name_is_there_and_loads_no_scikit_learn() -> None:
    program = (
        "import sys, headstart; before = 'sklearn' in sys.modules; "
        "headstart.ImageClassifier; print(before, 'keras' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_the_same_as_fit_on_the_same_images() -> None:
    run = trained().run
    paths, labels = zip(*run.files["train"], strict=True)
    estimator = ImageClassifier(recipe=run.recipe).fit(paths, labels)
    mine, its = (one.head.layers[0][0] for one in (estimator.classifier_, run.classifier))
    np.testing.assert_allclose(mine / its, (mine / its)[0, 0], rtol=1e-5)  # but for temperature
