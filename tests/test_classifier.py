from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_run import CLASSES, SIDE, trained

from headstart.answers import Prediction
from headstart.bundle import load
from headstart.classifier import Classifier, PixelChoices
from headstart.errors import HeadstartError
from headstart.evaluation import evaluate
from headstart.heads import Head
from headstart.images import BadImage

CLOSE = 1e-6


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load(trained().bundle)


@pytest.fixture(scope="module")
def paths() -> list[Path]:
    return trained().paths


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A PNG that is cut off."""
    (tmp_path / "broken.png").write_bytes(trained().paths[0].read_bytes()[:500])
    return tmp_path / "broken.png"


def close(one: Prediction, other: Prediction) -> bool:
    return one.label == other.label and all(
        abs(one.probabilities[name] - other.probabilities[name]) <= CLOSE for name in CLASSES
    )


def pillow(path: Path) -> Image.Image:
    return Image.open(path)


def array(path: Path) -> Any:
    return np.asarray(Image.open(path))


WAYS: list[Callable[[Path], Any]] = [Path, str, Path.read_bytes, pillow, array]


@pytest.mark.parametrize("given", WAYS)
def test_one_image(classifier: Classifier, paths: list[Path], given: Callable[[Path], Any]) -> None:
    image = given(paths[0])
    found = classifier.predict(image)
    assert close(found, classifier.predict(paths[0]))
    assert close(classifier.predict([image])[0], found)
    assert found.source == (str(paths[0]) if given in (Path, str) else "")


def test_a_prediction(classifier: Classifier, paths: list[Path]) -> None:
    found = classifier.predict(paths[0])
    values = list(found.probabilities.values())
    assert set(found.probabilities) == set(CLASSES)
    assert values == sorted(values, reverse=True)
    assert sum(values) == pytest.approx(1, abs=1e-6)
    assert (found.label, found.probability) == next(iter(found.probabilities.items()))
    assert found.top(2) == list(found.probabilities.items())[:2]
    assert str(found) == "; ".join([f"{found.label} ({found.probability:.1%})", *found.doubts()])


def test_several_of_all_sorts_in_order(classifier: Classifier, paths: list[Path]) -> None:
    mixed = [WAYS[index % len(WAYS)](path) for index, path in enumerate(paths)]
    found = classifier.predict(mixed)
    one_by_one = [classifier.predict(path) for path in paths]
    assert all(map(close, found, one_by_one))
    assert {one.label for one in found} == set(CLASSES)


def test_none(classifier: Classifier) -> None:
    assert classifier.predict([]) == []
    assert classifier.predict(np.empty((0, 9, 9, 3), np.uint8)) == []  # type: ignore[comparison-overlap]
    assert list(classifier.predict_files([])) == []
    assert classifier.predict_proba([]).shape == (0, 3)
    assert classifier.embed([]).shape == (0, 32)


@pytest.mark.parametrize("shape", [(SIDE, SIDE, 3), (50, 20, 3), (50, 20)])
def test_arrays(classifier: Classifier, shape: tuple[int, ...]) -> None:
    images: Any = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    together = classifier.predict(list(images))
    assert all(map(close, together, [classifier.predict(one) for one in images]))
    if len(shape) == 3:
        assert all(map(close, together, classifier.predict(images)))


def test_probabilities_and_features(classifier: Classifier, paths: list[Path]) -> None:
    probabilities = classifier.predict_proba(paths)
    assert probabilities.shape == (len(paths), 3)
    assert probabilities.dtype == np.float32
    for row, found in zip(probabilities, classifier.predict(paths), strict=True):
        expected = [found.probabilities[name] for name in classifier.class_names]
        np.testing.assert_allclose(row, expected, atol=CLOSE)
    features = classifier.embed(paths)
    assert features.shape == (len(paths), 32)
    np.testing.assert_array_equal(classifier.head.probabilities(features), probabilities)


@pytest.mark.parametrize("given", WAYS)
def test_one_image_where_several_are_expected(
    classifier: Classifier, paths: list[Path], given: Callable[[Path], Any]
) -> None:
    image = given(paths[0])
    np.testing.assert_allclose(
        classifier.predict_proba(image), classifier.predict_proba(paths[:1]), atol=CLOSE
    )
    assert classifier.embed(image).shape == (1, 32)
    if given in (str, Path):
        (found,) = classifier.predict_files(image)
        assert isinstance(found, Prediction)
        assert close(found, classifier.predict(image))


def test_fresh_equals_what_was_evaluated(classifier: Classifier) -> None:
    run = trained().run
    for part, evaluation in (("test", run.evaluation), ("train", run.train)):
        files = [path for path, _ in run.files[part]]
        labels = np.array([CLASSES.index(name) for _, name in run.files[part]])
        again = evaluate(classifier.predict_proba(files), labels, CLASSES)
        assert np.array_equal(again.pairs, evaluation.pairs)
        assert again.log_loss == pytest.approx(evaluation.log_loss, abs=CLOSE)


def test_features_are_those_that_were_kept(classifier: Classifier, paths: list[Path]) -> None:
    features = classifier.embed(paths)
    assert np.array_equal(features, features.astype(np.float16))
    one_by_one = np.vstack([classifier.embed([path]) for path in paths])
    assert np.array_equal(features, one_by_one)


@pytest.mark.parametrize("where", [0, 5])
def test_an_error_names_the_file(
    classifier: Classifier, paths: list[Path], broken: Path, where: int
) -> None:
    given = [*paths[:where], broken, *paths[where:]]
    for answer in (classifier.predict, classifier.predict_proba, classifier.embed):
        with pytest.raises(BadImage, match=rf"{broken}: broken"):
            answer(given)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3)), r"image 2: An array of float64 \(4, 4, 3\) is no image\. Expec"),
        (np.zeros((4, 4, 4), np.uint8), r"image 2: An array of uint8 \(4, 4, 4\)"),
        (b"no image", "image 2: not an image"),
        (b"", "image 2: empty file"),
        (7, "image 2: A int is no image"),
        (None, "image 2: A NoneType is no image"),
    ],
)
def test_an_error_names_the_image_that_came_as_data(
    classifier: Classifier, paths: list[Path], image: Any, message: str
) -> None:
    with pytest.raises(BadImage, match=message):
        classifier.predict([paths[0], image, paths[1]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"A NoneType is no image\. Expected a path, the bytes"),
        (7, r"A int is no image"),
        (b"junk", r"not an image"),
        (np.zeros((4, 4, 3)), r"An array of float64 \(4, 4, 3\) is no image"),
    ],
)
def test_one_that_is_no_image(classifier: Classifier, given: Any, message: str) -> None:
    for answer in (classifier.predict, classifier.predict_proba):
        with pytest.raises(BadImage, match=f"^{message}"):
            answer(given)


def test_turned_grey_and_palette_images(classifier: Classifier, paths: list[Path]) -> None:
    image = Image.open(paths[0])
    stored = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(stored, "PNG", exif=exif)
    assert close(classifier.predict(stored.getvalue()), classifier.predict(paths[0]))
    for mode in ("L", "P", "RGBA", "1"):
        assert classifier.predict(image.convert(mode)).label in CLASSES


def test_a_head_that_does_not_fit(classifier: Classifier) -> None:
    layer = np.zeros((32, 4), np.float32), np.zeros(4, np.float32)
    with pytest.raises(
        HeadstartError, match=r"Expected 32 features and 3 classes; received 32 and"
    ):
        Classifier(CLASSES, classifier.prefix, Head("linear", (layer,)), PixelChoices())


def test_sources_may_be_any_kind_of_path(classifier: Classifier, paths: list[Path]) -> None:
    class Place(os.PathLike[str]):
        def __fspath__(self) -> str:
            return str(paths[0])

    assert classifier.predict(Place()).source == str(paths[0])
    assert classifier.image_size == (SIDE, SIDE)
