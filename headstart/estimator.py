"""`ImageClassifier`, a scikit-learn estimator: images and labels in, a fitted estimator out.

The same steps as `headstart.fit`, but without a test part: scikit-learn splits outside. Features
are kept by the content of an image, so cross-validation and a search compute each image once for
each backbone and image size, whatever the head and the fold. A pickled estimator holds the files of
a bundle, so it needs neither Keras nor this machine's cache.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from headstart.asked import as_recipe, changed
from headstart.bundle import Contents, load, save_bundle
from headstart.classifier import Classifier
from headstart.errors import HeadstartError
from headstart.features import extract
from headstart.features.extraction import Source
from headstart.images import BadImage, upright
from headstart.learning import fit_images
from headstart.preparation import check_decoded
from headstart.recipe import NAMED, Recipe, without_search
from headstart.tuning import Tuning

_EXPECTED = (
    "Expected a sequence of images: paths, bytes of image files, Pillow images, uint8 arrays "
    "(height, width, 3) or (height, width), or one array (n, height, width, 3) or (n, height, "
    "width)."
)
_CONVERT = "Convert it to uint8, 0 to 255: values from 0 to 1 by (255 * X).round().astype('uint8')."


@dataclass(eq=False, repr=False, kw_only=True)
class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn classifier of images, by transfer learning.

    A parameter that is None is as in `recipe`; those that are not go before it.

    Attributes:
        backbone: As in `Recipe`, like all those that follow.
        weights: `imagenet`, or the path of a weights file.
        image_size: (height, width) in pixels, or one number for a square.
        resize: `squash`, `crop` or `pad`.
        head: `auto`, `linear`, `mlp` or `prototype`.
        unfreeze: How much of the backbone is fine-tuned; 0 nothing.
        learning_rate: Of fine-tuning.
        epochs: Of fine-tuning.
        augment: `auto`, `none`, `light` or `strong`.
        flip: Whether mirror images still show the same class.
        class_weight: `auto`, `balanced` or `none`.
        precision: `auto`, `float32` or `bfloat16`.
        validation_fraction: The part of X set aside to stop by, for fine-tuning and the mlp alone.
        random_state: The seed, or a numpy `RandomState` that draws one; None is the recipe's.
        time_limit: Seconds after which fine-tuning stops; all features are made first in any case.
        device: `auto`, `cpu` or `gpu`.
        recipe: What None stands for, and the other choices; `read_recipe("frozen")` by default.
        classes_: The labels, sorted, once fitted.
        classifier_: The headstart `Classifier`; its class names are the labels as text.
        recipe_: Every choice of the fit, filled in.
        details_: `head` and `fine_tuning`, as in `Run`.
    """

    backbone: str | None = None
    weights: str | None = None
    image_size: tuple[int, int] | int | None = None
    resize: str | None = None
    head: str | None = None
    unfreeze: int | str | None = None
    learning_rate: float | None = None
    epochs: int | None = None
    augment: str | None = None
    flip: bool | None = None
    class_weight: str | None = None
    precision: str | None = None
    validation_fraction: float | None = None
    random_state: int | np.random.RandomState | None = None
    time_limit: float | None = None
    device: str = "auto"
    recipe: Recipe | str | os.PathLike[str] | None = None

    def fit(self, X: Any, y: Any) -> ImageClassifier:  # noqa: N803
        """Learn from images.

        Args:
            X: n images: paths, bytes of image files, Pillow images, uint8 arrays (height, width, 3)
                or (height, width), or one uint8 array (n, height, width, 3) or (n, height, width).
            y: (n,) labels, of any kind that scikit-learn takes for classes.

        Raises:
            HeadstartError: No images, one class, labels that do not fit, or a choice that does not
                exist.
            BadImage: An image cannot be decoded.
            ValueError: scikit-learn's own, for labels that are no classes.
        """
        recipe = self._choices()
        images = as_images(X)
        classes, codes = np.unique(_checked_labels(y, len(images)), return_inverse=True)
        if len(classes) < 2:
            raise HeadstartError(
                f"All of y is one class, {classes.tolist()[0]!r}. Expected at least two. Add "
                "images of another class."
            )
        labels, limit = codes.astype(np.int64), self.time_limit
        learned = fit_images(images, labels, recipe, device=self.device, time_limit=limit)
        if learned.interrupted:  # a search must not go on; the same fit again goes on from here
            raise KeyboardInterrupt
        learned.remove_checkpoints()
        fine_tuning = None if learned.tuned is None else learned.tuned.details
        self.classes_ = classes
        self.classifier_ = learned.classifier([str(one) for one in classes.tolist()])
        self.recipe_ = learned.recipe
        self.details_: dict[str, Any] = {"head": learned.fitted.details, "fine_tuning": fine_tuning}
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """The most probable label of each image, (n,); `X` as in `fit`.

        Raises:
            NotFittedError: Before `fit`.
            BadImage: An image cannot be decoded.
        """
        best = self.predict_proba(X).argmax(axis=1)
        labels: npt.NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:  # noqa: N803
        """Class probabilities, float32 (n, classes), columns as in `classes_`; `X` as in `fit`.

        Raises:
            NotFittedError: Before `fit`.
            BadImage: An image cannot be decoded.
        """
        check_is_fitted(self, "classifier_")
        images, classifier = as_images(X), self.classifier_
        if classifier.prefix.suffix is not None or classifier.pixels.views > 1:
            return classifier.predict_proba(images)
        features = extract(images, classifier.prefix, resize=classifier.resize)
        check_decoded(features, images)
        return classifier.head.probabilities(features.matrix(np.arange(len(images))))

    def _choices(self) -> Recipe:
        """The recipe that the parameters make."""
        recipe = as_recipe(self.recipe, NAMED["frozen"])
        tuning = replace(recipe.tuning, **self._given(Tuning))
        recipe = changed(without_search(recipe), {**self._given(Recipe), "tuning": tuning})
        state = self.random_state
        if isinstance(state, np.random.RandomState):
            state = state.randint(2**31)
        return recipe if state is None else replace(recipe, seed=_plain(state))

    def _given(self, kind: type[Recipe] | type[Tuning]) -> dict[str, Any]:
        """The parameters that choices of this kind have too, and that are not None."""
        own = self.get_params(deep=False)
        values = {one.name: _plain(own.get(one.name)) for one in fields(kind)}
        return {name: value for name, value in values.items() if value is not None}

    def __sklearn_tags__(self) -> Any:
        """Images are no table of numbers."""
        tags = super().__sklearn_tags__()
        given = tags.input_tags
        given.two_d_array, given.one_d_array, given.three_d_array = False, True, True
        given.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """The parameters, and what was learned as the files of a bundle."""
        state = dict(super().__getstate__())
        if "classifier_" in state:
            state["classifier_"] = _packed(self.classifier_, self.recipe_)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read what `__getstate__` gave."""
        if "classifier_" in state:
            state = {**state, "classifier_": _unpacked(state["classifier_"])}
        super().__setstate__(state)


def as_images(X: Any) -> list[Source]:  # noqa: N803
    """Paths as they are, and everything else as the bytes of an image file, without loss.

    Args:
        X: As in `ImageClassifier.fit`.

    Raises:
        HeadstartError: No images, or not of these kinds.
    """
    if isinstance(X, str | bytes | os.PathLike | Image.Image):
        raise _refused(f"X is a single {type(X).__name__}", "Put it into a list: [image].")
    if type(X).__module__.startswith("scipy.sparse"):
        raise _refused("X is sparse", "Sparse data are not supported: give one of these.")
    if hasattr(X, "__array__"):  # numpy, pandas and others
        X = _checked_array(np.asarray(X))  # noqa: N806
    if not (hasattr(X, "__len__") and hasattr(X, "__iter__")):
        raise _refused(f"X is a {type(X).__name__}", "Give one of these.")
    if not len(X):
        raise _refused("X has no images", "Give at least one.")
    return [_as_image(image, number) for number, image in enumerate(X, start=1)]


def _refused(what: str, advice: str) -> HeadstartError:
    return HeadstartError(f"{what}. {_EXPECTED} {advice}")


def _checked_array(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype.kind in "OUST":
        return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array  # a data frame
    shape = array.shape[1:]
    if array.dtype != np.uint8 or (len(shape) != 2 and (len(shape) != 3 or shape[2] != 3)):
        raise _refused(f"X is an array of {array.dtype} {array.shape}", _CONVERT)
    if len(shape) == 2 and shape[1] == 3:
        what = f"X is one array {array.shape}, which looks like a single image"
        raise _refused(what, "Put it into a list: [image].")
    return array


def _as_image(image: Any, number: int) -> Source:
    if isinstance(image, bytes):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return Path(os.fsdecode(image))
    if isinstance(image, np.ndarray):
        good = image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2:] == (3,))
        if not good or not image.size:
            what = f"Image {number} of X is an array of {image.dtype} {image.shape}"
            raise _refused(what, _CONVERT)
        return _encoded(Image.fromarray(image))
    if isinstance(image, Image.Image):
        try:
            return _encoded(upright(image.copy()))
        except OSError as error:
            raise BadImage(
                f"Image {number} of X is broken: {error}. Expected a whole image. Leave it out."
            ) from error
    raise _refused(f"Image {number} of X is a {type(image).__name__}", "Give one of these.")


def _encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "BMP")  # nothing is lost, and it takes no time
    return file.getvalue()


def _checked_labels(y: Any, count: int) -> npt.NDArray[Any]:
    if y is None:
        raise HeadstartError(
            "ImageClassifier requires y to be passed, but the target y is None. Expected one label "
            "for each image. Give y."
        )
    labels: npt.NDArray[Any] = column_or_1d(y, warn=True)
    if len(labels) != count:
        raise HeadstartError(
            f"X has {count} images and y has {len(labels)} labels. Expected one label for each "
            "image. Give as many of both."
        )
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    return labels


def _plain(value: Any) -> Any:
    """A number of numpy, as a grid of a search may hold, as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


def _packed(classifier: Classifier, recipe: Recipe) -> dict[str, bytes]:
    """The files of a bundle, by name."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as place:
        folder = Path(place, "bundle")
        save_bundle(folder, classifier, Contents(recipe, {}, {}, "", None, {}, b""))
        return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def _unpacked(files: dict[str, bytes]) -> Classifier:
    """Write the files of a bundle, for as long as the classifier lasts, and load it."""
    folder = tempfile.mkdtemp(prefix="headstart-")
    for name, content in files.items():
        Path(folder, Path(name).name).write_bytes(content)
    classifier = load(folder)
    weakref.finalize(classifier, shutil.rmtree, folder, ignore_errors=True)
    return classifier
