"""The columns of a table of answers: an answer in, its cells out, as text or as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headstart.answers import Prediction, Unreadable, in_words
from headstart.scan import encodable, printable

Answer = Prediction | Unreadable


@dataclass(frozen=True)
class Columns:
    """Which columns there are.

    Path, label and probability (numbered where `top` > 1), then three more. `candidates` are
    `cat or fox` in text and a list in values, and empty where the classifier has no sets; `unknown`
    is `yes` or empty in text; `error` says why there is no answer. Last, the probability of each of
    `classes`.
    """

    top: int = 1
    classes: tuple[str, ...] = ()

    @property
    def ranks(self) -> list[str]:
        """What is appended to `label` and `probability`."""
        return [""] if self.top == 1 else [f"_{rank + 1}" for rank in range(self.top)]

    def header(self) -> list[str]:
        """The names of the columns."""
        ranked = [f"{name}{rank}" for rank in self.ranks for name in ("label", "probability")]
        each = [f"p_{printable(name)}" for name in self.classes]
        return ["path", *ranked, "candidates", "unknown", "error", *each]

    def text(self, answer: Answer) -> list[str]:
        """The cells as text of one line each, for CSV."""
        if isinstance(answer, Unreadable):
            return self._refused(printable(answer.source), "", printable(answer.reason))
        found = "" if answer.candidates is None else printable(in_words(answer.candidates))
        return [
            printable(answer.source),
            *self._ranked(answer, printable, "{:.6f}".format, ""),
            found,
            "yes" if answer.unknown else "",
            "",
            *[f"{answer.probabilities[name]:.6f}" for name in self.classes],
        ]

    def values(self, answer: Answer) -> list[Any]:
        """The cells as JSON values, for Parquet."""
        if isinstance(answer, Unreadable):
            return self._refused(encodable(answer.source), None, encodable(answer.reason))
        found = answer.candidates
        return [
            encodable(answer.source),
            *self._ranked(answer, encodable, float, None),
            None if found is None else [encodable(name) for name in found],
            answer.unknown,
            None,
            *[answer.probabilities[name] for name in self.classes],
        ]

    def _refused(self, source: str, nothing: Any, reason: str) -> list[Any]:
        before = [nothing] * (2 * self.top + 2)
        return [source, *before, reason, *[nothing] * len(self.classes)]

    def _ranked(
        self,
        answer: Prediction,
        name: Callable[[str], str],
        number: Callable[[float], Any],
        nothing: Any,
    ) -> list[Any]:
        cells = [
            cell for label, value in answer.top(self.top) for cell in (name(label), number(value))
        ]
        return cells + [nothing] * (2 * self.top - len(cells))
