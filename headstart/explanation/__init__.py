"""Why a classifier answers as it does: a map of what speaks for a class, and similar images.

A bundle and an image go in, an `Explanation` comes out. Neither Keras nor TensorFlow is needed for
a bundle that runs on OpenVINO: the exact map and Grad-CAM need but the last feature map and the
matrices of the head.
"""

from __future__ import annotations

import difflib
import io
import os
import unicodedata

import numpy as np
import numpy.typing as npt
from PIL import Image

from headstart.bundle import load
from headstart.classifier import Classifier, ImageInput, plain_view
from headstart.errors import HeadstartError
from headstart.explanation.colours import overlay
from headstart.explanation.maps import (
    METHODS,
    ActivationMap,
    activation_map,
    check_method,
    feature_maps,
)
from headstart.explanation.neighbours import Neighbour, nearest
from headstart.explanation.place import put_in_place, shown_image
from headstart.explanation.result import Explanation, check_image_target
from headstart.images import Pixels
from headstart.scan import printable

__all__ = [
    "METHODS",
    "ActivationMap",
    "Explanation",
    "Neighbour",
    "activation_map",
    "check_image_target",
    "drawn",
    "explain",
    "feature_maps",
    "heat_map",
    "nearest",
    "overlaid",
    "overlay",
    "shown_image",
]

Floats = npt.NDArray[np.float32]
NEAREST = 5
_LISTED = 10  # classes, in an error


def explain(
    bundle: str | os.PathLike[str] | Classifier,
    image: ImageInput,
    *,
    class_name: str | None = None,
    method: str = "auto",
    neighbours: int = NEAREST,
) -> Explanation:
    """Show what in an image speaks for a class, and which training images are like it.

    Args:
        bundle: The folder that `headstart fit` wrote, or a classifier.
        image: A path, the bytes of an image file, a uint8 RGB array (height, width, 3), or a
            Pillow image.
        class_name: The class that the map is of; None for the answer.
        method: `cam`, `grad-cam`, `occlusion`, or `auto`: the first of these that is possible.
        neighbours: How many of the nearest training images to give, of those that the bundle
            keeps; a bundle of an older headstart keeps none.

    Raises:
        BadImage: The image cannot be decoded.
        HeadstartError: No bundle, an unknown class or method, or one that the network does not
            allow.
    """
    check_method(method)
    classifier = bundle if isinstance(bundle, Classifier) else load(bundle)
    label = None if class_name is None else class_number(classifier, class_name)
    shown = shown_image(image)
    prediction = classifier.predict(image)
    if label is None:
        label = class_number(classifier, prediction.label)
    found = _map_of(classifier, image, label, method)
    heat = put_in_place(found.heat(), shown.shape, classifier.image_size, classifier.resize)
    return Explanation(
        prediction=prediction,
        class_name=classifier.class_names[label],
        method=found.method,
        values=found.values,
        heat=heat,
        image=shown,
        nearest=_nearest(classifier, image, neighbours),
    )


def heat_map(
    classifier: Classifier,
    image: ImageInput,
    class_name: str | None = None,
    *,
    method: str = "auto",
) -> Floats:
    """Make the map of what in an image speaks for a class; the network is opened once.

    Args:
        classifier: Whose answer is explained.
        image: As `explain` takes it.
        class_name: The class; None for the answer.
        method: As of `explain`.

    Returns:
        float32 (height, width) in the shape of `shown_image(image)`: the image upright, at most
        800 pixels at its longer side. From 0, the coldest place of the image, to 1, the hottest;
        NaN where the network saw nothing.

    Raises:
        BadImage: The image cannot be decoded.
        HeadstartError: An unknown class or method, or one that the network does not allow.
    """
    check_method(method)
    return _heat(classifier, image, class_name, method, shown_image(image).shape)


def overlaid(classifier: Classifier, image: ImageInput, class_name: str | None = None) -> Pixels:
    """Draw the map of a class over an image, as `overlay` does.

    Args:
        classifier: Whose answer is explained.
        image: As `explain` takes it.
        class_name: The class; None for the answer.

    Returns:
        uint8 (height, width, 3), at most 800 pixels at its longer side.

    Raises:
        BadImage: The image cannot be decoded.
        HeadstartError: An unknown class.
    """
    shown = shown_image(image)
    return overlay(shown, _heat(classifier, image, class_name, "auto", shown.shape))


def drawn(
    classifier: Classifier, image: ImageInput, class_name: str | None = None, kind: str = "PNG"
) -> bytes:
    """What `overlaid` draws, as a file: `PNG`, or `JPEG`, which is written in less time."""
    content = io.BytesIO()
    made = Image.fromarray(overlaid(classifier, image, class_name))
    made.save(content, kind, compress_level=1, quality=85)
    return content.getvalue()


def class_number(classifier: Classifier, name: str) -> int:
    """The number of a class by its name, however its accents are composed.

    Raises:
        HeadstartError: There is no such class.
    """
    if name in classifier.class_names:
        return classifier.class_names.index(name)
    known = [unicodedata.normalize("NFC", one) for one in classifier.class_names]
    wanted = unicodedata.normalize("NFC", name)
    if known.count(wanted) == 1:
        return known.index(wanted)
    near = difflib.get_close_matches(wanted, known, n=5, cutoff=0.3) or known[:5]
    few = len(known) <= _LISTED
    names = ", ".join(printable(one) for one in (classifier.class_names if few else near))
    raise HeadstartError(
        f"There is no class '{printable(name)}'. Expected {'one of' if few else 'a name such as'}: "
        f"{names}. Choose one of the bundle's classes."
    )


def _heat(
    classifier: Classifier,
    image: ImageInput,
    class_name: str | None,
    method: str,
    shape: tuple[int, ...],
) -> Floats:
    """The map of a class (None: the answer) at the shape of the image that is shown."""
    name = classifier.predict(image).label if class_name is None else class_name
    found = _map_of(classifier, image, class_number(classifier, name), method)
    return put_in_place(found.heat(), shape, classifier.image_size, classifier.resize)


def _map_of(classifier: Classifier, image: ImageInput, label: int, method: str) -> ActivationMap:
    pixels = plain_view(image, classifier.image_size, classifier.resize)
    return activation_map(classifier, pixels, label, method)


def _nearest(classifier: Classifier, image: ImageInput, count: int) -> tuple[Neighbour, ...]:
    if classifier.reference is None or count < 1:
        return ()
    features = classifier.embed(image)[0]
    return nearest(features, classifier.reference, classifier.class_names, count)
