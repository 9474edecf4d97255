"""What there is time for: pure functions of numbers of images and of seconds.

Each constant says where it was measured; the networks there were EfficientNet-Lite on two cores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from headstart.errors import HeadstartError

_FIRST, _EACH = 60.0, 0.03  # seconds of a usual run, and of each image: 2,000 take two minutes
_RESERVE = 1.5  # seconds kept for head, evaluation and bundle, besides a tenth of all
_CHOOSING = 0.4  # of the time that is left, at most, for finding the network
_AT_LEAST = 15.0  # seconds for that, where the user names no limit
_FEW, _MANY = 600, 1500  # training images by which the network is found
AMPLE = 200.0  # seconds from which on time is not short
FEWEST_JUDGED = 40  # validation images without which no depth is tried
FEWEST_EPOCHS = 5  # that fine-tuning is worth beginning for
STARTS = 15.0  # seconds until its first step: TensorFlow, building, compiling

# The part of the validation loss that fine-tuning 5 of 16 blocks takes away: 0.18 to 0.31 on
# trashnet (1,673 images to train on), none on ants-bees (221). The last 2 blocks take most of it
# away: 3.3 points of accuracy after 5 epochs, where 5 blocks take 3.4.
_GAIN, _NONE_BELOW, _ALL_ABOVE = 0.25, 250, 1500
# A step of the last 2 blocks forward and back, in times of one answer of the whole frozen network,
# by what that computes in.
_STEP = {"bfloat16": 2.1, "float32": 1.2}


@dataclass(frozen=True)
class Times:
    """As `time.monotonic()` counts: `deadline` is when all has to end, `until` when it had better.

    Past `until` nothing more is begun that can be left out. Images that are not reached by
    `deadline` are left out.
    """

    deadline: float = math.inf
    until: float = math.inf


def times_of(time_limit: float | None, start: float, images: int = 0) -> Times:
    """When a run that began at `start` has to end, and had better.

    Without a limit, no image is left out, and all that is optional is planned for `usual_seconds`.

    Raises:
        HeadstartError: The limit is not above 0.
    """
    if time_limit is None:
        return Times(until=_end(start, usual_seconds(images)))
    if not time_limit > 0:
        raise HeadstartError(
            f"The time limit cannot be {time_limit}. Expected seconds, more than 0."
        )
    return Times(_end(start, time_limit), _end(start, time_limit))


def _end(start: float, seconds: float) -> float:
    return start + seconds * 0.9 - _RESERVE


def usual_seconds(images: int) -> float:
    """The time of a run whose user names none."""
    return _FIRST + _EACH * images


def end_of_choosing(now: float, times: Times) -> float:
    """When the network has to be found, from `now` on."""
    end = now + _CHOOSING * (times.until - now)
    return max(end, now + _AT_LEAST) if times.deadline == math.inf else end


def end_of_features(now: float, deadline: float) -> float:
    """When the features of a first network, which all images get, had better be there."""
    return now + (deadline - now) / 2


def images_to_choose_by(seconds: float) -> int:
    """By how many training images the network is found, at most."""
    return _MANY if seconds >= AMPLE else _FEW


def expected_gain(train: int, validation: int) -> float:
    """The part of the loss that fine-tuning is expected to take away, 0 to 1.

    Args:
        train: Images to learn from.
        validation: Images to judge by; with too few nothing is tried.
    """
    if validation < FEWEST_JUDGED:
        return 0.0
    return _GAIN * min(1.0, max(0.0, (train - _NONE_BELOW) / (_ALL_ABOVE - _NONE_BELOW)))


@dataclass(frozen=True)
class Work:
    """What fine-tuning would have to do: images in all, those to learn from, views of each."""

    images: int
    train: int
    views: int

    def seconds(self, images_per_second: float, precision: str, epochs: int) -> float:
        """About how long it takes, features at the cut included.

        Args:
            images_per_second: That the whole frozen network answers.
            precision: `bfloat16` or `float32`, of that network.
            epochs: How often each image is learned from.
        """
        steps = self.train * epochs * _STEP.get(precision, max(_STEP.values()))
        return STARTS + (self.images + self.train * self.views + steps) / images_per_second
