"""One `Finding` for each thing worth a look, and the kinds that there are.

A finding names the files, the evidence, and what to do about it. Nothing is ever changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One kind of finding: its name, a heading in words, and what to do about it."""

    name: str
    title: str
    advice: str


# In the order in which they are told: what makes the result wrong comes first.
KINDS = (
    Kind("broken", "Files that cannot be used", "Replace the file or remove it."),
    Kind(
        "leak",
        "Copies on different sides of the given split",
        "Keep one, or put all of them on one side; otherwise the test is too easy.",
    ),
    Kind(
        "two_labels",
        "Copies with different labels",
        "Keep the one with the right label and drop the other.",
    ),
    Kind("label", "Probably wrong labels", "Look at each; give it its right label, or drop."),
    Kind(
        "shortcut",
        "Ways to tell the classes without looking at what is shown",
        "Take images of all classes with the same camera, format and background; otherwise the "
        "classifier may learn how they were taken.",
    ),
    Kind("copy", "The same file twice", "Keep one of them."),
    Kind(
        "near_copy",
        "Nearly the same image",
        "Keep them where they are images of their own; they stay on one side of the split.",
    ),
    Kind("outlier", "Unlike all others", "Drop what does not belong to any class."),
    Kind("blank", "Nearly one colour", "Drop them, unless that is what the class looks like."),
    Kind("dark", "Very dark", "Take them again with more light, or drop them."),
    Kind("bright", "Very bright", "Take them again with less light, or drop them."),
    Kind("blurred", "Blurred", "Take them again, or drop them if nobody could tell the class."),
    Kind("tiny", "Fewer pixels than the network looks at", "Use the original files."),
    Kind("odd", "Unusual files", "Nothing needs to be done if they look as they should."),
    Kind("imbalance", "Classes with few images", "Add images of these classes first."),
)
TITLES = {one.name: one.title for one in KINDS}
ADVICE = {one.name: one.advice for one in KINDS}
_ORDER = {one.name: place for place, one in enumerate(KINDS)}


@dataclass(frozen=True)
class Finding:
    """One thing worth a look.

    Attributes:
        kind: One of `KINDS`.
        files: The images, relative to the data set's folder, as they are shown; the first is the
            one that a fix would be about. Empty where it is about a class or the whole set.
        classes: The label of each file, or the classes that it is about.
        evidence: What was seen, with figures.
        score: How sure or how bad, larger is more; comparable within a kind. None where all are
            alike.
        suggested: The class that a wrongly labelled image probably has, else "".
    """

    kind: str
    files: tuple[str, ...]
    classes: tuple[str, ...]
    evidence: str
    score: float | None = None
    suggested: str = ""

    @property
    def advice(self) -> str:
        """What to do."""
        return ADVICE[self.kind]

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON values."""
        values = {**vars(self), "files": list(self.files), "classes": list(self.classes)}
        return {**values, "advice": self.advice}


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """What makes the result wrong first; within a kind the surest first, then by name."""

    def place(one: Finding) -> tuple[int, float, tuple[str, ...]]:
        return _ORDER[one.kind], -(one.score or 0.0), one.files

    return tuple(sorted(findings, key=place))
