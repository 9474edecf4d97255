"""The code keeps to the agreed shape; test_check_shape.py shows that the check can fail."""

from __future__ import annotations

import check_shape


def test_shape_of_the_code() -> None:
    assert check_shape.check_all() == []
