"""Answers whose stated probabilities are true, or are off by a temperature, for several tests."""

from __future__ import annotations

import numpy as np

from headstart.metrics import Numbers, Rows


def draw_answers(
    count: int, temperature: float = 1.0, classes: int = 4, seed: int = 0
) -> tuple[Numbers, Rows]:
    """Probabilities (count, classes) and true labels drawn from them.

    Logits are then multiplied by the temperature, so that dividing by it makes them true again.
    """
    rng = np.random.default_rng(seed)
    logits = 2.5 * rng.normal(size=(count, classes))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    said = np.exp(logits * temperature)
    return said / said.sum(axis=1, keepdims=True), labels.astype(np.int64)
