"""Fine-tuning as `fit` asks for it: images and a fitted head in, trained network and head out."""

from __future__ import annotations

import time

from headstart import progress
from headstart.depth import find_depth
from headstart.finetune.auto import find_best_depth, reason_not_to
from headstart.finetune.kept import STAGE, OutOfTime, Wanted, find_place, keep
from headstart.finetune.task import Task, Tuned, finish, frozen, tune
from headstart.frameworks import without_retracing_remarks
from headstart.recipe import AUTO


@without_retracing_remarks()
def fine_tune(task: Task) -> Tuned:
    """Train the part of the network that the recipe unfreezes.

    Raises:
        HeadstartError: A depth that does not exist, no room to keep features, or a layer that
            learned and should not have, or the other way round.
    """
    chooses = task.recipe.unfreeze == AUTO
    if chooses and (reason := reason_not_to(task)):
        return frozen(task, {"stopped": reason})
    backbone = task.prefix.backbone
    assert backbone is not None
    model = backbone.build(task.prefix.identity.image_size)
    wanted = Wanted(task.images, task.recipe.resize, task.views)
    if chooses:
        return find_best_depth(task, model, wanted)
    depth = find_depth(model, task.recipe.unfreeze)
    start = time.monotonic()
    try:
        kept = keep(find_place(task.prefix, model, depth, wanted), task.limits)
        stage = tune(task, kept, depth.name)
    except OutOfTime:
        progress.remark(STAGE, f"{task.out_of_time}: no time to fine-tune; all stays frozen")
        return frozen(task, {"stopped": task.out_of_time})
    details = {"depth": depth.name, **stage.details(), "seconds": time.monotonic() - start}
    return finish(task, kept, stage, details)
