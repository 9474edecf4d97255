"""Train the layers behind a cut together with the head, on kept features."""

from headstart.finetune.loop import Limits
from headstart.finetune.run import fine_tune
from headstart.finetune.task import Task, Tuned, chosen_views

__all__ = ["Limits", "Task", "Tuned", "chosen_views", "fine_tune"]
