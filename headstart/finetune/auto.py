"""How deep to unfreeze, found by trying: deeper cuts in turn, each from the head as it was fitted.

A deeper cut is kept only where the validation loss falls by more than chance: by more than one
standard error of the difference, image by image. The first that does not ends the search. None goes
on from the one before: that has learned the training images already, so little would be left to
learn from (on trashnet it gained nothing).
"""

from __future__ import annotations

import time
from typing import Any

from headstart import progress
from headstart.depth import Depth, block_ends, find_depth
from headstart.finetune.kept import STAGE, Kept, OutOfTime, Wanted, keep
from headstart.finetune.loop import MIDWAY
from headstart.finetune.problem import Judgement
from headstart.finetune.stage import Stage
from headstart.finetune.task import Task, Tuned, finish, frozen, tune

_BLOCKS = (5, 10)  # from the end, of networks with 16; the rest in proportion
_OF = 16


def find_best_depth(task: Task, model: Any, wanted: Wanted) -> Tuned:
    """Fine-tune deeper and deeper as long as it helps and time is left.

    Args:
        task: What is to be fine-tuned.
        model: The backbone.
        wanted: The images and views to keep features of.
    """
    tried: list[dict[str, Any]] = []
    best: tuple[Kept, Stage, Depth] | None = None
    ended = ""
    for depth in depths(model):
        begin = time.monotonic()
        try:
            kept = keep(task.prefix, model, depth, wanted, task.limits)
            stage = tune(task, kept, depth.name)
        except OutOfTime:
            ended = task.out_of_time
            progress.remark(STAGE, f"{ended}: not unfrozen from {depth.name}")
            break
        if not tried:
            tried.append(_row("frozen", 0, stage.before))
        before = stage.before if best is None else best[1].after
        good = stage.share > 0 and is_better(stage.after, before, first=best is None)
        tried.append(_row(depth.name, len(stage.moved), stage.after, time.monotonic() - begin))
        if good:
            best = kept, stage, depth
        if not good or stage.record.stopped in MIDWAY:
            break
    name = "frozen" if best is None else best[2].name
    table = [{**row, "kept": row["unfrozen from"] == name} for row in tried]
    if best is None:
        return frozen(task, {"stopped": ended or "not better than frozen", "tried": table})
    kept, stage, depth = best
    details = {"depth": depth.name, **stage.details(), "tried": table}
    return finish(task, kept, stage, details | ({"stopped": ended} if ended else {}))


def depths(model: Any) -> list[Depth]:
    """The depths that are tried, the shallowest first."""
    ends = block_ends(model)
    counts = [round(blocks * len(ends) / (_OF - 1)) for blocks in _BLOCKS]
    counts = [count for count in dict.fromkeys(counts) if 0 < count <= len(ends)]
    found = []
    for count in counts:
        after = ends[-count].layers_after - 1  # the pooling is none
        depth = find_depth(model, after)
        found.append(Depth(depth.learns[0], depth.learns, depth.places))
    return found or [find_depth(model, "all")]


def is_better(after: Judgement | None, before: Judgement | None, *, first: bool) -> bool:
    """Whether validation says so beyond chance; without images to judge by one step is made."""
    if after is None or before is None:
        return first
    return after.beats(before)


def _row(name: str, layers: int, judged: Judgement | None, seconds: float = 0.0) -> dict[str, Any]:
    return {
        "unfrozen from": name,
        "layers moved": layers,
        "validation loss": None if judged is None else round(judged.calibrated_loss, 4),
        "validation accuracy": None if judged is None else round(judged.accuracy, 4),
        "seconds": round(seconds, 1),
    }
