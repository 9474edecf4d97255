"""scikit-learn's own checks of an estimator, on `ImageClassifier`.

They give tables of numbers, and scikit-learn runs none of them on an estimator of images. Here each
row is drawn as an image, so that all can run; those that still do not hold are `EXCEPTIONS`, and
each must fail in truth (`xfail_strict`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.utils import InputTags
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import check_is_fitted, validate_data

from headstart.estimator import ImageClassifier
from headstart.recipe import Recipe

EXCEPTIONS = {
    "check_class_weight_classifiers": "class_weight is a name, not a weight for each class",
}


def draw(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Numbers (n, features) as grey squares of 8 x 8 pixels, beside and below each other."""
    side = max(2, int(np.ceil(rows.shape[1] ** 0.5)))
    squares = np.zeros((len(rows), side * side), np.uint8)
    squares[:, : rows.shape[1]] = np.clip(127 + 40 * rows.astype(float), 0, 255)
    return squares.reshape(-1, side, side).repeat(8, axis=1).repeat(8, axis=2)


class RowClassifier(ImageClassifier):
    """Draws its rows; all else is `ImageClassifier`."""

    def fit(self, X: Any, y: Any) -> RowClassifier:  # noqa: N803
        super().fit(draw(validate_data(self, X)), y)
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:  # noqa: N803
        check_is_fitted(self)
        return super().predict_proba(draw(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = InputTags()
        return tags


def checks() -> list[Any]:
    estimator = RowClassifier(backbone="tiny", image_size=32, precision="float32", head="linear")
    found = []
    for one, check in estimator_checks_generator(estimator):
        name = check.func.__name__
        reason = EXCEPTIONS.get(name)
        marks = () if reason is None else (pytest.mark.xfail(reason=reason),)
        found.append(pytest.param(functools.partial(check, one), marks=marks, id=name))
    return found


CHECKS = checks()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("check", CHECKS)
def test_check(check: Callable[[], None]) -> None:
    check()


def test_every_exception_is_the_name_of_a_check() -> None:
    assert set(EXCEPTIONS) <= {one.id for one in CHECKS}
    assert len(CHECKS) > 50


def test_nothing_is_searched() -> None:
    chosen = ImageClassifier(recipe=Recipe(backbone="tiny"))._choices()
    assert (chosen.image_size, chosen.resize, chosen.unfreeze) == (None, "squash", "auto")
    chosen = ImageClassifier(resize="crop", image_size=32, recipe=Recipe())._choices()
    assert (chosen.image_size, chosen.resize) == ((32, 32), "crop")
