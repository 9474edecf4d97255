"""How the part that is fine-tuned learns: every choice in one place, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from headstart.errors import HeadstartError

OPTIMIZERS = ("adamw", "adam")
SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True)
class Tuning:
    """The choices of fine-tuning; `Tuning()` is the default for any data.

    Attributes:
        optimizer: `adamw` (decoupled weight decay) or `adam`.
        learning_rate: The highest one; None chooses it by the data.
        epochs: How often each image is seen; None chooses it by the data and the time limit.
        patience: Epochs without a lower validation loss after which training stops.
        batch_size: Images of one step.
        schedule: `cosine` down to 0, or `constant`.
        warmup: The part of all steps over which the learning rate rises from 0, 0 to 0.5.
        layer_decay: Factor on the learning rate for each block further from the output, above 0 and
            at most 1; 1 gives all the same.
        weight_decay: Of adamw, 0 or more.
        label_smoothing: The part of each label that is spread over all classes, 0 to 0.5.
        dropout: The part of the features dropped before the last layer, 0 to 0.9.
        clip_norm: Largest norm of all gradients together; 0 does not clip.
        mixup: Strength of mixup on what enters the trained part (alpha of its beta distribution,
            Zhang et al. 2018, https://arxiv.org/abs/1710.09412); 0 for none.
        interpolate: Whether weights between start and end are looked at too (WiSE-FT, Wortsman et
            al. 2022, https://arxiv.org/abs/2109.01903).

    Raises:
        HeadstartError: A choice that does not exist.
    """

    optimizer: str = "adamw"
    learning_rate: float | None = None
    epochs: int | None = None
    patience: int = 5
    batch_size: int = 32
    schedule: str = "cosine"
    warmup: float = 0.1
    layer_decay: float = 1.0
    weight_decay: float = 0.004
    label_smoothing: float = 0.1
    dropout: float = 0.2
    clip_norm: float = 1.0
    mixup: float = 0.0
    interpolate: bool = True

    def __post_init__(self) -> None:
        """Check every choice."""
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("schedule", self.schedule, SCHEDULES)
        if self.learning_rate is not None:
            _number("learning_rate", self.learning_rate, 0, 1, open_low=True)
        _number("clip_norm", self.clip_norm, 0, 1e6)
        if self.epochs is not None:
            _whole("epochs", self.epochs, 1, 10_000)
        _whole("patience", self.patience, 1, 10_000)
        _whole("batch_size", self.batch_size, 1, 4096)
        _number("warmup", self.warmup, 0, 0.5)
        _number("layer_decay", self.layer_decay, 0, 1, open_low=True)
        _number("weight_decay", self.weight_decay, 0, 10)
        _number("label_smoothing", self.label_smoothing, 0, 0.5)
        _number("dropout", self.dropout, 0, 0.9)
        _number("mixup", self.mixup, 0, 10)
        if not isinstance(self.interpolate, bool):
            raise HeadstartError(
                f"interpolate cannot be {self.interpolate!r}. Expected true or false."
            )

    def steps(self, images: int) -> int:
        """How many batches an epoch over so many images has."""
        return -(-images // self.batch_size)

    def to_dict(self) -> dict[str, Any]:
        """The choices as JSON values."""
        return asdict(self)


def tuning_from_dict(values: object) -> Tuning:
    """Read what `Tuning.to_dict` wrote; what is left out has its default.

    Raises:
        HeadstartError: An unknown name or a choice that does not exist.
    """
    if not isinstance(values, Mapping):
        raise HeadstartError(f"tuning cannot be {values!r}. Expected a table of choices.")
    check_names("tuning", values, [field.name for field in fields(Tuning)])
    return Tuning(**values)


def check_names(what: str, values: Mapping[str, Any], known: list[str]) -> None:
    """Raise HeadstartError where a name is none of those that are known."""
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise HeadstartError(
            f"Unknown names in the {what}: {', '.join(unknown)}. Expected some of: "
            f"{', '.join(sorted(known))}."
        )


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise HeadstartError(f"{name} cannot be {value!r}. Expected one of: {', '.join(allowed)}.")


def _whole(name: str, value: object, least: int, most: int) -> None:
    good = isinstance(value, int) and not isinstance(value, bool)
    if not good or not least <= value <= most:  # type: ignore[operator]
        raise HeadstartError(
            f"{name} cannot be {value!r}. Expected a whole number from {least} to {most:,}."
        )


def _number(name: str, value: object, low: float, high: float, *, open_low: bool = False) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= value <= high or (open_low and value == low):  # type: ignore[operator]
        least = f"above {low:g}" if open_low else f"from {low:g}"
        raise HeadstartError(f"{name} cannot be {value!r}. Expected a number {least} to {high:g}.")
