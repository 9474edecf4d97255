"""What is to be written."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.exporting.checking import Expected
from headstart.exporting.network import Weights
from headstart.exporting.subject import Subject


@dataclass(frozen=True, eq=False)
class Order:
    """What is to be written.

    Attributes:
        subject: The classifier.
        expected: What must be answered.
        int8: Whether with 8-bit numbers.
        weights: Where the weights of the backbone are, if not where `fit` looks.
    """

    subject: Subject
    expected: Expected
    int8: bool = False
    weights: Weights = None
