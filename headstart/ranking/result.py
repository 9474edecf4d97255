"""What ranking found: a row for each candidate, and the one that is recommended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.extras import require
from headstart.scan import printable

_FORMATS = (".svg", ".png", ".pdf")


@dataclass(frozen=True)
class Ranked:
    """One backbone at one image size.

    Attributes:
        backbone: What `fit --backbone` takes: its name, of a model of one's own the path, or `hub:`
            and a preset.
        image_size: Height and width in pixels.
        status: `complete`, `dropped` (others were better on fewer images) or `unfinished` (time).
        images: How many training images the accuracy is of; 0 where there is none.
        accuracy: Of the linear head in cross-validation, 0 to 1.
        low: Lower end of its 95% interval (Wilson).
        high: Upper end.
        log_loss: In the same cross-validation.
        h_score: See `headstart.transferability`; of the images of the first round, as `log_me`.
        log_me: The same.
        images_per_second: That the network answers here, decoding not counted.
        memory_bytes: Peak memory of a process that predicts.
        model_bytes: Size of the converted network.
        top1: Published ImageNet accuracy, 0 to 1.
    """

    backbone: str
    image_size: int
    status: str
    images: int = 0
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    log_loss: float | None = None
    h_score: float | None = None
    log_me: float | None = None
    images_per_second: float | None = None
    memory_bytes: int | None = None
    model_bytes: int | None = None
    top1: float | None = None

    @property
    def name(self) -> str:
        """Backbone and size, for people."""
        return f"{printable(self.backbone)} at {self.image_size}"


@dataclass(frozen=True)
class Ranking:
    """Candidates, those that came furthest first, and within a round the best first.

    Attributes:
        rows: Every candidate.
        best: The one that is recommended.
        reason: Why, in words.
        images: How many training images there are.
        seconds: Of each stage, and `total`.
        warnings: What the user should know about the data.
    """

    rows: tuple[Ranked, ...]
    best: Ranked
    reason: str
    images: int
    seconds: Mapping[str, float]
    warnings: tuple[str, ...] = ()

    def front(self) -> list[Ranked]:
        """Those that no other is at least as accurate and as fast as, the fastest first.

        Of those judged on the most images: on fewer, every network is less accurate.
        """
        shown = [one for one in self.rows if _is_drawn(one) and self._came_furthest(one)]
        ordered = sorted(shown, key=lambda one: (_speed(one), one.accuracy), reverse=True)
        front: list[Ranked] = []
        for one in ordered:
            if not front or _accuracy(one) > _accuracy(front[-1]):
                front.append(one)
        return front

    def _came_furthest(self, row: Ranked) -> bool:
        return row.images == max(one.images for one in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """The whole as JSON values."""
        return {
            "best": asdict(self.best),
            "reason": self.reason,
            "candidates": [asdict(one) for one in self.rows],
            "front": [[one.backbone, one.image_size] for one in self.front()],
            "images": self.images,
            "seconds": dict(self.seconds),
            "warnings": list(self.warnings),
        }

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw accuracy against speed, with intervals and the Pareto front.

        Args:
            path: Where to write it; `.svg`, `.png` or `.pdf`.

        Raises:
            HeadstartError: Another ending.
            MissingExtra: matplotlib is not installed.
        """
        target = Path(path)
        check_plot(target)
        import matplotlib as mpl
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        panel = figure.subplots()
        for number, name in enumerate(sorted({one.backbone for one in self.rows})):
            own = [one for one in self.rows if one.backbone == name and _is_drawn(one)]
            for early in (False, True):
                shown = [one for one in own if self._came_furthest(one) != early]
                _draw(panel, shown, f"C{number}", early=early)
        front = self.front()
        panel.plot(
            [_speed(one) for one in front],
            [_accuracy(one) for one in front],
            color="0.5",
            linestyle="--",
            linewidth=1,
            zorder=0,
            label="Pareto front",
        )
        if _is_drawn(self.best):
            point = [_speed(self.best)], [_accuracy(self.best)]
            panel.scatter(*point, s=160, facecolors="none", edgecolors="black", label="recommended")
        panel.set(
            xscale="log",
            xlabel="images a second (network alone)",
            ylabel="cross-validated accuracy",
        )
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "headstart"}):
            figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
        return target


def check_plot(path: Path) -> None:
    """Make sure that a plot can be drawn there, before any long work.

    Raises:
        HeadstartError: It has another ending than `.svg`, `.png` or `.pdf`, or no folder.
        MissingExtra: matplotlib is not installed.
    """
    if path.suffix.lower() not in _FORMATS:
        raise HeadstartError(
            f"A plot cannot be written as '{path.name}'. Expected an ending of: "
            f"{', '.join(_FORMATS)}. Choose one of these."
        )
    if not path.absolute().parent.is_dir():
        raise HeadstartError(
            f"There is no folder '{path.absolute().parent}' to write the plot into. Expected one "
            "that is there. Make it, or choose another place."
        )
    require("matplotlib", "plot", "plots")


def _draw(panel: Any, rows: list[Ranked], colour: str, *, early: bool) -> None:
    """Points of one backbone with intervals; hollow where it was judged on fewer images."""
    if not rows:
        return
    name = printable(rows[0].backbone).replace("$", r"\$")  # which would begin a formula
    name = f" {name}" if name.startswith("_") else name  # which the legend would leave out
    accuracy = [_accuracy(one) for one in rows]
    below = [_accuracy(one) - (one.low or 0.0) for one in rows]
    above = [(one.high or 1.0) - _accuracy(one) for one in rows]
    panel.errorbar(
        [_speed(one) for one in rows],
        accuracy,
        yerr=[below, above],
        fmt="o",
        color=colour,
        markerfacecolor="white" if early else colour,
        alpha=0.5 if early else 1.0,
        elinewidth=0.8,
        capsize=2,
        label=f"{name}, fewer images" if early else name,
    )
    for one in rows:
        place = (_speed(one), _accuracy(one))
        panel.annotate(
            str(one.image_size), place, xytext=(4, 4), textcoords="offset points", fontsize=7
        )


def _is_drawn(one: Ranked) -> bool:
    return one.accuracy is not None and one.images_per_second is not None


def _accuracy(one: Ranked) -> float:
    return one.accuracy or 0.0


def _speed(one: Ranked) -> float:
    return one.images_per_second or 0.0
