"""Numbers as people read them."""

from __future__ import annotations

import datetime
import math

_MONTHS = "January February March April May June July August September October November December"


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 image`, `2,390 images`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def percent(rate: float | None, digits: int = 1) -> str:
    """A rate from 0 to 1 in percent; a dash where there is none."""
    return "\u2013" if rate is None else f"{rate:.{digits}%}"


def sure(probability: float) -> str:
    """A probability in whole percent; 0% and 100% only where it is that."""
    if 0 < probability < 0.005:
        return "under 1%"
    return "over 99%" if 0.995 <= probability < 1 else percent(probability, 0)


def between(low: float | None, high: float | None) -> str:
    """An interval of rates in percent."""
    if low is None or high is None:
        return "\u2013"
    return f"{100 * low:.1f} to {percent(high)}"


def decimal(value: float | None, digits: int = 3) -> str:
    """A number that is no rate; a dash where there is none."""
    return "\u2013" if value is None else f"{value:.{digits}f}"


def of_hundred(rate: float) -> int:
    """How many of 100 a rate is; 100 and 0 only where it is all or none of them."""
    if 0 < rate < 1:
        return min(99, max(1, round(100 * rate)))
    return round(100 * rate)


def around(low: float, high: float) -> tuple[int, int]:
    """An interval in whole numbers of 100, rounded to the outside."""
    return math.floor(100 * low + 1e-9), math.ceil(100 * high - 1e-9)


def duration(seconds: float) -> str:
    """`under 0.1 s`, `0.4 s`, `12 s`, `2 min 5 s`, `1 h 2 min`."""
    if seconds < 0.05:
        return "under 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def day(iso: str) -> str:
    """`2026-11-26` as `26 November 2026`; what is no date stays as it is."""
    try:
        date = datetime.date.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{date.day} {_MONTHS.split()[date.month - 1]} {date.year}"
