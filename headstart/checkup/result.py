"""The result of a check-up: all findings, as text, as JSON values, and as a list of fixes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.checkup.finding import KINDS, Finding
from headstart.checkup.fix_list import write_fix_list
from headstart.checkup.text import paragraphs


@dataclass(frozen=True)
class CheckUp:
    """The result of `headstart.check`.

    Attributes:
        findings: What makes the result wrong first, and within a kind the surest first.
        images: How many images were looked at.
        class_names: Their classes.
        root: The folder that the files' names are relative to.
        label_ranking: All images that were judged, the most probably mislabelled first.
        seconds: Of each stage, and `total`.
        left_out: What there was no time for: `labels`, `neighbours` (outliers, mirrored and cropped
            copies), `looks` (of some or all images).
    """

    findings: tuple[Finding, ...]
    images: int
    class_names: tuple[str, ...]
    root: Path
    label_ranking: tuple[str, ...]
    seconds: Mapping[str, float]
    left_out: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind that was found."""
        found = Counter(one.kind for one in self.findings)
        return {one.name: found[one.name] for one in KINDS if found[one.name]}

    def of(self, kind: str) -> list[Finding]:
        """The findings of one kind, the surest first."""
        return [one for one in self.findings if one.kind == kind]

    def to_dict(self) -> dict[str, Any]:
        """The whole as JSON values; of the ranking by label the first tenth."""
        return {
            "images": self.images,
            "classes": len(self.class_names),
            "counts": self.counts,
            "findings": [one.to_dict() for one in self.findings],
            "label_ranking": list(self.label_ranking[: -(-self.images // 10)]),
            "seconds": dict(self.seconds),
            "left_out": list(self.left_out),
        }

    def summary(self) -> str:
        """The result as text."""
        lines = [
            f"{self.images} images of {len(self.class_names)} classes looked at in "
            f"{self.seconds['total']:.0f} s."
        ]
        if self.left_out:
            lines.append(f"No time was left for: {', '.join(self.left_out)}.")
        return "\n".join([*lines, *paragraphs(self.findings)])

    def write_fix_list(self, path: str | os.PathLike[str]) -> Path:
        """Write what could be done about the findings as CSV, for `apply_fixes` and `fit --fixes`.

        Raises:
            HeadstartError: It cannot be written.
        """
        return write_fix_list(self.findings, Path(path))
