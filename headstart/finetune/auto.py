"""How deep to unfreeze, found by trying: deeper cuts in turn, each from the head as it was fitted.

A deeper cut is kept only where the validation loss falls by more than chance: by more than one
standard error of the difference, image by image. The first that does not ends the search; one that
is behind half way is not trained to its end. None goes on from the one before: that has learned the
training images already, so little would be left to learn from (on trashnet it gained nothing).

With little time the last two blocks come first: on trashnet 5 epochs of them give 0.901 in 81 s,
and 4 epochs of five blocks 0.902 in 116 s.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from headstart.depth import Depth, block_ends, find_depth
from headstart.finetune.kept import Kept, OutOfTime, Place, Wanted, find_place, keep
from headstart.finetune.loop import MIDWAY
from headstart.finetune.probe import begin_in_time
from headstart.finetune.stage import Stage
from headstart.finetune.task import Task, Tuned, finish, frozen, tune
from headstart.plan import AMPLE, FEWEST_JUDGED, STARTS

_BLOCKS = (5, 10)  # from the end, of networks with 16; the rest in proportion
_SHORT = 2  # where there is little time
_OF = 16


@dataclass(frozen=True, eq=False)
class _Trained:
    """A depth, what was kept for it, and what came of it."""

    depth: Depth
    kept: Kept
    stage: Stage


def reason_not_to(task: Task) -> str:
    """Why no depth is tried, before anything is loaded; "" where there is no reason."""
    judged = len(task.labels["validation"])
    if judged < FEWEST_JUDGED:
        return f"too few validation images to judge it by: {judged}, and {FEWEST_JUDGED} are needed"
    if task.limits.until - time.monotonic() < STARTS and not task.folder.exists():
        return task.out_of_time
    return ""


def find_best_depth(task: Task, model: Any, wanted: Wanted) -> Tuned:
    """Fine-tune deeper and deeper as long as it helps and time is left.

    Args:
        task: What is to be fine-tuned.
        model: The backbone.
        wanted: The images and views to keep features of.
    """
    tried: list[dict[str, Any]] = []
    best: _Trained | None = None
    ended = ""

    def place_of(depth: Depth) -> Place:
        return find_place(task.prefix, model, depth, wanted)

    for choices in turns(model, task.limits.until - time.monotonic()):
        start = time.monotonic()
        rival = None if best is None else best.stage.record
        try:
            begun = begin_in_time(task, choices, place_of)
            kept = keep(begun.place, task.limits)
            stage = tune(task, kept, begun.depth.name, begun.learner, rival)
        except OutOfTime as reason:
            ended = str(reason) or task.out_of_time
            break
        if not tried:
            tried.append(_row("frozen", stage, start, before=True))
        tried.append(_row(begun.depth.name, stage, start))
        if not _is_better(stage, best):
            ended = _divergence(begun.depth.name, stage)
            break
        best = _Trained(begun.depth, kept, stage)
        if stage.record.stopped in MIDWAY:
            break
    return _result(task, best, tried, ended)


def turns(model: Any, seconds: float) -> list[list[Depth]]:
    """The depths that are tried, the shallowest first; of each turn the first there is time for.

    Args:
        model: The backbone.
        seconds: That are left.
    """
    short, middle, deep = _depths(model)
    found = [[middle, short], [deep]] if seconds >= AMPLE else [[short], [middle], [deep]]
    new: list[list[Depth]] = []
    for turn in found:
        seen = {one.name for earlier in new for one in earlier}
        unseen = {one.name: one for one in turn if one.name not in seen}
        new += [list(unseen.values())] if unseen else []
    return new


def _depths(model: Any) -> list[Depth]:
    """Short, middle and deep; the same where a network has too few blocks."""
    ends = block_ends(model)
    if not ends:
        return [find_depth(model, "all")] * 3
    found = []
    for blocks in (_SHORT, *_BLOCKS):
        count = min(len(ends), max(1, round(blocks * len(ends) / (_OF - 1))))
        depth = find_depth(model, ends[-count].layers_after - 1)  # the pooling is none
        found.append(Depth(depth.learns[0], depth.learns, depth.places))
    return found


def _is_better(stage: Stage, best: _Trained | None) -> bool:
    """Whether validation says so beyond chance."""
    before = stage.before if best is None else best.stage.after
    if not stage.share or before is None or stage.after is None:
        return False
    if stage.record.stopped == "behind":  # its recipe would train it to its end
        return False
    return stage.after.beats(before)


def _divergence(name: str, stage: Stage) -> str:
    """Why a depth came to nothing where its training diverged; "" where it did not."""
    if stage.record.stopped != "diverged":
        return ""
    return (
        f"unfrozen from {name}, training diverged with every learning rate, down to "
        f"{stage.record.learning_rate:.2g}"
    )


def _result(task: Task, best: _Trained | None, tried: list[dict[str, Any]], ended: str) -> Tuned:
    name = "frozen" if best is None else best.depth.name
    table = [{**row, "kept": row["unfrozen from"] == name} for row in tried]
    if best is None:
        return frozen(task, {"stopped": ended or "not better than frozen", "tried": table})
    details = {"depth": name, **best.stage.details(), "tried": table, "search_ended": ended}
    if ended == MIDWAY[0]:  # by Ctrl-C: the same command goes on
        details["stopped"] = ended
    return finish(task, best.kept, best.stage, details)


def _row(name: str, stage: Stage, start: float, *, before: bool = False) -> dict[str, Any]:
    judged = stage.before if before else stage.after
    return {
        "unfrozen from": name,
        "layers moved": 0 if before else len(stage.moved),
        "validation loss": None if judged is None else round(judged.calibrated_loss, 4),
        "validation accuracy": None if judged is None else round(judged.accuracy, 4),
        "epochs": 0 if before else len(stage.record.history),
        "seconds": 0.0 if before else round(time.monotonic() - start, 1),
        "ended by": "" if before else stage.record.stopped,
    }
