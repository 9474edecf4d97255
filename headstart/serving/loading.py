"""Load a bundle for serving: whole, warm, and answering as it did when it was trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from headstart.bundle import load
from headstart.classifier import Classifier
from headstart.errors import HeadstartError
from headstart.scan import printable

_CLOSE = 0.05  # bfloat16 on another machine; what is broken differs by more


def load_checked(folder: Path, threads: int) -> Classifier:
    """Load a bundle, start its engine with `threads` threads, and try it on its example.

    Raises:
        HeadstartError: It is no bundle, is damaged, or answers otherwise than when it was trained.
    """
    classifier = load(folder)
    classifier.engine(threads)
    expected = _expected(folder)
    if expected is None:  # a bundle without images
        classifier.predict(np.zeros((*classifier.image_size, 3), np.uint8))
        return classifier
    found = classifier.predict(folder / "example.png").probabilities
    if max(abs(found[name] - expected.get(name, -1.0)) for name in found) > _CLOSE:
        raise HeadstartError(
            f"The bundle '{printable(str(folder))}' answers otherwise than when it was trained. "
            "Expected the probabilities of its example.json. Copy it anew, or train again."
        )
    return classifier


def _expected(folder: Path) -> dict[str, float] | None:
    try:
        text = (folder / "example.json").read_text(encoding="utf-8")
        return {str(name): float(one) for name, one in json.loads(text)["probabilities"].items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise HeadstartError(
            f"The example of the bundle '{printable(str(folder))}' cannot be read: {error}. "
            "Expected what headstart fit writes. Copy the bundle anew."
        ) from error
