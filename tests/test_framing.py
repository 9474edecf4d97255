"""Where an image lies in what the network sees."""

from __future__ import annotations

import pytest

from headstart.framing import Framing, frame


@pytest.mark.parametrize(
    ("size", "resize", "source", "target"),
    [
        ((500, 300), "squash", (0, 0, 500, 300), (0, 0, 100, 100)),
        ((500, 300), "crop", (100, 0, 400, 300), (0, 0, 100, 100)),
        ((300, 500), "crop", (0, 100, 300, 400), (0, 0, 100, 100)),
        ((500, 300), "pad", (0, 0, 500, 300), (0, 20, 100, 80)),
        ((300, 500), "pad", (0, 0, 300, 500), (20, 0, 80, 100)),
        ((5000, 1), "pad", (0, 0, 5000, 1), (0, 49, 100, 50)),
        ((50, 50), "crop", (0, 0, 50, 50), (0, 0, 100, 100)),
    ],
)
def test_frame(
    size: tuple[int, int], resize: str, source: tuple[float, ...], target: tuple[int, ...]
) -> None:
    found = frame(size, (100, 100), resize)
    assert found == Framing(pytest.approx(source), target)  # type: ignore[arg-type]
