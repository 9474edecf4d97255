"""What there is time for, from numbers alone."""

from __future__ import annotations

import math

import pytest

from headstart import HeadstartError
from headstart.plan import (
    AMPLE,
    FEWEST_JUDGED,
    Times,
    Work,
    end_of_choosing,
    end_of_features,
    expected_gain,
    images_to_choose_by,
    times_of,
    usual_seconds,
)


def test_two_thousand_images_take_two_minutes() -> None:
    assert usual_seconds(2000) == 120
    assert 60 < usual_seconds(10) < usual_seconds(400) < usual_seconds(2000)


def test_without_a_limit_nothing_is_left_out() -> None:
    times = times_of(None, 1000.0, 2000)
    assert times.deadline == math.inf
    assert 1000 + 100 < times.until < 1000 + 120


@pytest.mark.parametrize("seconds", [30, 600])
def test_with_a_limit_all_ends_in_time(seconds: float) -> None:
    times = times_of(seconds, 1000.0, 2000)
    assert times.deadline == times.until
    assert 1000 + 0.8 * seconds < times.until < 1000 + 0.9 * seconds


def test_any_time_can_be_allowed() -> None:
    assert times_of(math.inf, 1000.0) == Times()


@pytest.mark.parametrize("seconds", [0, -1, math.nan])
def test_a_limit_that_is_none(seconds: float) -> None:
    with pytest.raises(HeadstartError, match=r"time limit cannot be .* more than 0"):
        times_of(seconds, 0.0)


def test_the_network_is_found_in_a_part_of_the_time() -> None:
    assert end_of_choosing(100.0, Times(200.0, 200.0)) == 140
    assert end_of_choosing(100.0, Times(math.inf, 200.0)) == 140
    late = end_of_choosing(300.0, Times(math.inf, 200.0))  # nobody asked for an end
    assert late > 300
    assert end_of_choosing(0.0, Times()) == math.inf
    assert images_to_choose_by(AMPLE - 1) < images_to_choose_by(AMPLE)


def test_features_leave_time_to_compare() -> None:
    assert end_of_features(100.0, 140.0) == 120
    assert end_of_features(100.0, math.inf) == math.inf


def test_what_fine_tuning_is_expected_to_bring() -> None:
    assert expected_gain(221, 24) == expected_gain(250, 400) == 0
    assert expected_gain(5000, FEWEST_JUDGED - 1) == 0
    gains = [expected_gain(train, 100) for train in (300, 900, 1500, 100_000)]
    assert gains == sorted(gains)
    assert 0 < gains[0] < gains[1] < gains[2] == gains[3] < 0.31


def test_how_long_it_takes() -> None:
    work = Work(images=2400, train=1700, views=4)
    fast, slow = work.seconds(700, "bfloat16", 5), work.seconds(175, "bfloat16", 5)
    assert 40 < fast < slow
    assert work.seconds(350, "float32", 5) < work.seconds(350, "bfloat16", 5)
    assert work.seconds(700, "another", 5) == fast
    assert work.seconds(700, "bfloat16", 9) > fast
