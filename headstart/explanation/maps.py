"""What in an image speaks for a class: a classifier and an image in, a map at its own size out.

`cam`: class activation mapping (Zhou et al. 2016, arXiv:1512.04150). Where the features are the
mean of the last feature map and the head is linear, the logit is the mean of the map plus the bias:
the map is exact. `grad-cam` (Selvaraju et al. 2017, arXiv:1610.02391) weighs the feature map by the
gradient of the logit; behind a global pooling that is the head's alone, which is written down here,
so that nothing is differentiated by a framework. `occlusion` (Zeiler and Fergus 2014,
arXiv:1311.2901) hides one part after the other and needs nothing but answers: it serves every
network. All see the plain view, also where a prediction is averaged over several.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from headstart import progress
from headstart.classifier import Classifier
from headstart.errors import HeadstartError
from headstart.explanation.feature_map import FeatureMaps, Floats, open_feature_maps
from headstart.heads import Head
from headstart.images import Pixels

METHODS = ("auto", "cam", "grad-cam", "occlusion")
CELLS = 8  # of each side of the image, for occlusion; a window hides 2 x 2 of them
_BATCH = 16

_opened: WeakKeyDictionary[Classifier, FeatureMaps | None] = WeakKeyDictionary()
_opening = threading.Lock()


@dataclass(frozen=True, eq=False)
class ActivationMap:
    """How much each place speaks for a class, in the network's own grid.

    Attributes:
        method: `cam`, `grad-cam` or `occlusion`.
        values: float32 (rows, columns). Of `cam`, the share of each place in the logit: their mean
            plus the head's bias is the logit. Of `grad-cam`, never below 0. Of `occlusion`, by how
            much the log-odds of the class fall where the place is hidden; not below 0.
    """

    method: str
    values: Floats

    def heat(self) -> Floats:
        """The values from 0, the coldest place, to 1, the hottest; all 0 where none stands out."""
        low, high = float(self.values.min()), float(self.values.max())
        if high - low <= 1e-6 * max(abs(high), abs(low), 1):
            return np.zeros_like(self.values)
        return np.asarray((self.values - low) / (high - low), np.float32)


def activation_map(
    classifier: Classifier, pixels: Pixels, label: int, method: str = "auto"
) -> ActivationMap:
    """Make the map of one class.

    Args:
        classifier: Whose answer is explained.
        pixels: What the network sees, uint8 (height, width, 3) at the classifier's image size.
        label: Number of the class.
        method: One of `METHODS`; `auto` takes the first of them that the network allows.

    Raises:
        HeadstartError: An unknown method, or one that the network does not allow.
    """
    check_method(method)
    maps = None if method == "occlusion" else feature_maps(classifier)
    head = classifier.head
    exact = maps is not None and maps.pooling == "mean" and len(head.layers) == 1
    if method == "auto":
        method = "occlusion" if maps is None else "cam" if exact else "grad-cam"
    if method == "occlusion":
        return ActivationMap(method, _occlude(classifier, pixels, label))
    if maps is None or (method == "cam" and not exact):
        raise _impossible(classifier, method, maps)
    (values,) = maps.stream([pixels])
    if method == "cam":
        return ActivationMap(method, values @ head.layers[0][0][:, label])
    return ActivationMap(method, grad_cam(values, head, maps.pool(values), label))


def check_method(method: str) -> None:
    """Raise HeadstartError where there is no such method."""
    if method not in METHODS:
        raise HeadstartError(
            f"There is no method '{method}'. Expected one of: {', '.join(METHODS)}. Leave it out: "
            "'auto' takes the best that the network allows."
        )


def feature_maps(classifier: Classifier) -> FeatureMaps | None:
    """The classifier's network up to its last feature map, opened once; None without such."""
    with _opening:
        if classifier not in _opened:
            _opened[classifier] = open_feature_maps(classifier.prefix)
        return _opened[classifier]


def _impossible(classifier: Classifier, method: str, maps: FeatureMaps | None) -> HeadstartError:
    name, kind = classifier.prefix.identity.backbone, classifier.head.kind
    if maps is None:
        why = f"the features of {name} come from no feature map that could be shown"
    elif maps.pooling != "mean":
        why = f"{name} takes the maximum of its feature map, not the mean"
    else:
        why = f"the head is an {kind}, not linear"
    other = "occlusion" if maps is None else "grad-cam"
    return HeadstartError(
        f"The method '{method}' does not suit this bundle: {why}. Expected 'auto' or '{other}'. "
        "Leave the method out to get what suits."
    )


def grad_cam(values: Floats, head: Head, features: Floats, label: int) -> Floats:
    """Grad-CAM at a feature map that goes through global pooling into a head.

    Mean and maximum both pass on a gradient that adds up to the feature's own over all places, so
    its mean, by which Grad-CAM weighs, is the same for both.

    Args:
        values: The feature map, float32 (rows, columns, features).
        head: What comes behind the pooling.
        features: What the pooling gives, (features,).
        label: Number of the class.

    Returns:
        float32 (rows, columns), not below 0.
    """
    weights = head_gradient(head, features, label) / np.float32(values.shape[0] * values.shape[1])
    return np.asarray(np.maximum(values @ weights, 0), np.float32)


def head_gradient(head: Head, features: Floats, label: int) -> Floats:
    """The gradient of a class's logit by the features, (features,), through all layers."""
    active, hidden = [], features
    for weights, bias in head.layers[:-1]:
        hidden = hidden @ weights + bias
        active.append(hidden > 0)
        hidden = np.maximum(hidden, 0)
    gradient = head.layers[-1][0][:, label]
    for (weights, _), on in zip(reversed(head.layers[:-1]), reversed(active), strict=True):
        gradient = weights @ np.where(on, gradient, np.float32(0))
    return np.asarray(gradient, np.float32)


def _occlude(classifier: Classifier, pixels: Pixels, label: int) -> Floats:
    """Hide each window in turn; a cell gets the mean of what the windows over it make."""
    windows = _windows(pixels.shape[0], pixels.shape[1])
    colour = pixels.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    scores = [_log_odds(classifier, [pixels], label)]
    with progress.stage("occlusion", len(windows)) as stage:
        for start in range(0, len(windows), _BATCH):
            images = [_hide(pixels, one, colour) for one in windows[start : start + _BATCH]]
            scores.append(_log_odds(classifier, images, label))
            stage.advance(len(images))
    whole, *hidden = np.concatenate(scores)
    drops = (whole - np.array(hidden, np.float32)).reshape(CELLS + 1, CELLS + 1)
    cells = (drops[:-1, :-1] + drops[1:, :-1] + drops[:-1, 1:] + drops[1:, 1:]) / 4
    return np.asarray(np.maximum(cells, 0), np.float32)


def _windows(height: int, width: int) -> list[tuple[slice, slice]]:
    """Every window of 2 x 2 cells; those at the rim reach out, so that each cell has four."""
    rows, columns = (
        np.linspace(0, side, CELLS + 1).round().astype(int) for side in (height, width)
    )
    around = [(max(at - 1, 0), min(at + 1, CELLS)) for at in range(CELLS + 1)]
    return [
        (slice(rows[top], rows[bottom]), slice(columns[left], columns[right]))
        for top, bottom in around
        for left, right in around
    ]


def _hide(pixels: Pixels, window: tuple[slice, slice], colour: Pixels) -> Pixels:
    image = pixels.copy()
    image[window] = colour
    return image


def _log_odds(classifier: Classifier, images: list[Pixels], label: int) -> Floats:
    """Of a class against all others, (n,): it goes on where a probability is all but 1."""
    logits = classifier.head.logits(classifier.embed(images)).astype(np.float64)
    own, others = logits[:, label], np.delete(logits, label, axis=1)
    if others.shape[1]:
        own = own - np.logaddexp.reduce(others, axis=1)
    return own.astype(np.float32)
