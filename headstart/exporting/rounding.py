"""Round to float16 with operations that every runtime has, in float32.

The classifier keeps features in float16, so an export has to round where it does, or answers differ
by some 1e-4. A cast to float16 and back does not do it: OpenVINO and ONNX Runtime take such a pair
away. Where a runtime computes with fewer bits itself, this changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

LEAST = 2.0**-14  # below, the numbers of float16 lie evenly
BITS = 10
PER_LOG = 1 / math.log(2)


class Operations(Protocol):
    """What it takes; each on tensors, constants are floats."""

    abs: Callable[[Any], Any]
    log: Callable[[Any], Any]
    floor: Callable[[Any], Any]
    round: Callable[[Any], Any]
    maximum: Callable[[Any, float], Any]
    multiply: Callable[[Any, Any], Any]
    divide: Callable[[Any, Any], Any]
    subtract: Callable[[Any, float], Any]
    power: Callable[[float, Any], Any]


def to_half(x: Any, by: Operations) -> Any:
    """The nearest numbers that float16 has, ties to even; `x` is a tensor of float32."""
    exponent = by.floor(by.multiply(by.log(by.maximum(by.abs(x), LEAST)), PER_LOG))
    step = by.power(2.0, by.subtract(exponent, float(BITS)))
    return by.multiply(by.round(by.divide(x, step)), step)
