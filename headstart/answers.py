"""The answer for one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NONE_OF_THESE = "none of these"
UNLIKE_ALL = "unlike all training images"


@dataclass(frozen=True)
class Prediction:
    """The answer for one image.

    Attributes:
        label: The most probable class.
        probability: Its probability, 0 to 1.
        probabilities: Of every class, most probable first.
        source: The file, "" for an image that came as data.
        candidates: The classes that it may be, most probable first, so that nine of ten images (or
            what the level is) have theirs among them; none of the classes where it is empty. None
            where the classifier has no thresholds for that.
        unknown: Whether the image is unlike all training images.
    """

    label: str
    probability: float
    probabilities: Mapping[str, float]
    source: str = ""
    candidates: tuple[str, ...] | None = None
    unknown: bool = False

    def top(self, count: int) -> list[tuple[str, float]]:
        """The `count` most probable classes with their probabilities."""
        return list(self.probabilities.items())[:count]

    def __str__(self) -> str:
        """The label and its probability, and what speaks against relying on it."""
        doubts = self.doubts()
        text = f"{self.label} ({self.probability:.1%})"
        return "; ".join([text, *doubts])

    def doubts(self, most: int | None = None) -> list[str]:
        """What speaks against relying on the label, in words: `cat or fox`, `none of these`.

        Args:
            most: How many candidates are named.
        """
        said: list[str] = []
        if self.candidates is not None and self.candidates != (self.label,):
            rather = len(self.candidates) == 1  # by its own threshold another class is likelier
            said = [f"{'rather ' if rather else ''}{in_words(self.candidates, most)}"]
        return [*said, UNLIKE_ALL] if self.unknown else said


@dataclass(frozen=True)
class Unreadable:
    """A file for which there is no answer, and why: `source` is the file, `reason` names it not."""

    source: str
    reason: str


def in_words(candidates: Sequence[str], most: int | None = None) -> str:
    """`cat`, `cat or fox`, `none of these`.

    Args:
        candidates: Classes.
        most: How many of them are named.
    """
    if not candidates:
        return NONE_OF_THESE
    shown = [*candidates[:most]]
    rest = len(candidates) - len(shown)
    return " or ".join([*shown, f"{rest} more"] if rest else shown)
