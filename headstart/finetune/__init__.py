"""Train the layers behind a cut together with the head, on kept features."""

from headstart.finetune.loop import Limits
from headstart.finetune.run import chosen_views, fine_tune
from headstart.finetune.task import Task, Tuned

__all__ = ["Limits", "Task", "Tuned", "chosen_views", "fine_tune"]
