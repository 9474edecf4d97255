"""From which probability on a class belongs to the answer, and when there is none: thresholds.

They are found by `fit` on images that were not learned from, and kept as `decision.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from headstart.conformal import LEVEL, LEVELS, Sets, Thresholds, form_sets
from headstart.errors import HeadstartError
from headstart.metrics import Probabilities


@dataclass(frozen=True)
class Decision:
    """The thresholds of one classifier.

    Attributes:
        thresholds: For each level that there are sets for, the probability from which each class
            belongs to a set; None for a class that is in all of them.
        images: How many images of each class they were found with; a class with too few for a
            level has the threshold of all classes together.
        source: Which images these are: `validation`, or `validation and cross-validation`.
        abstain_below: Probability under which an answer is better left to a person, or None.
        unknown_beyond: Strangeness from which an image is unlike all training images, or None.
        by_energy: What the head's energy counts in that, beside the distance to the training
            images; 0 for a frozen network.
        level: Of the sets, one of those in `thresholds`.
    """

    thresholds: Mapping[float, Thresholds]
    images: tuple[int, ...]
    source: str
    abstain_below: float | None = None
    unknown_beyond: float | None = None
    by_energy: float = 0.0
    level: float = LEVEL

    def at(self, level: float) -> Decision:
        """The same with sets for another level.

        Raises:
            HeadstartError: There are no sets for it.
        """
        if level not in self.thresholds:
            known = ", ".join(f"{one:g}" for one in sorted(self.thresholds)) or "none"
            raise HeadstartError(
                f"There are no sets for the level {level:g}. Expected one of {LEVELS} for which "
                f"fit had images enough; of this classifier: {known}. Choose one of these, or "
                "train again with more images."
            )
        return replace(self, level=level)

    def sets(self, probabilities: Probabilities) -> Sets | None:
        """Which classes are in the set of each image, bool (n, classes); None without sets."""
        thresholds = self.thresholds.get(self.level)
        return None if thresholds is None else form_sets(probabilities, thresholds)

    def to_dict(self) -> dict[str, Any]:
        """The thresholds as JSON values."""
        return {
            "level": self.level,
            "thresholds": {f"{level:g}": list(one) for level, one in self.thresholds.items()},
            "images": list(self.images),
            "source": self.source,
            "abstain_below": self.abstain_below,
            "unknown_beyond": self.unknown_beyond,
            "by_energy": self.by_energy,
        }


def decision_from_dict(values: Mapping[str, Any], num_classes: int) -> Decision:
    """Read what `Decision.to_dict` gave.

    Raises:
        LookupError, TypeError, ValueError: Something is missing or of another kind.
    """
    thresholds = {
        float(level): tuple(None if value is None else float(value) for value in row)
        for level, row in values["thresholds"].items()
    }
    if any(len(row) != num_classes for row in thresholds.values()):
        raise ValueError(f"its thresholds are not those of {num_classes} classes")
    beyond, below = values["unknown_beyond"], values["abstain_below"]
    return Decision(
        thresholds=thresholds,
        images=tuple(int(one) for one in values["images"]),
        source=str(values["source"]),
        abstain_below=None if below is None else float(below),
        unknown_beyond=None if beyond is None else float(beyond),
        by_energy=float(values["by_energy"]),
        level=float(values["level"]),
    )
