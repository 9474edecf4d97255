"""From a folder of labelled images to a classifier that can be trusted, by transfer learning.

    run = headstart.fit("photos/")
    print(run.evaluation)
    run.classifier.predict("new.jpg")

The public names are loaded when they are first used: importing the package loads no framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headstart.errors import DatasetError, HeadstartError, MissingExtra

if TYPE_CHECKING:
    from headstart.backbones import list_backbones, load_backbone
    from headstart.bundle import load
    from headstart.classifier import Classifier
    from headstart.cut import cut_at, cut_before_last, cut_points
    from headstart.dataset import Dataset, read_dataset
    from headstart.evaluation import Evaluation
    from headstart.recipe import Recipe
    from headstart.run import Run
    from headstart.training import fit

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "Dataset",
    "DatasetError",
    "Evaluation",
    "HeadstartError",
    "MissingExtra",
    "Recipe",
    "Run",
    "__version__",
    "cut_at",
    "cut_before_last",
    "cut_points",
    "fit",
    "list_backbones",
    "load",
    "load_backbone",
    "read_dataset",
]

_MODULES = {
    "Classifier": "headstart.classifier",
    "Dataset": "headstart.dataset",
    "Evaluation": "headstart.evaluation",
    "Recipe": "headstart.recipe",
    "Run": "headstart.run",
    "cut_at": "headstart.cut",
    "cut_before_last": "headstart.cut",
    "cut_points": "headstart.cut",
    "fit": "headstart.training",
    "list_backbones": "headstart.backbones",
    "load": "headstart.bundle",
    "load_backbone": "headstart.backbones",
    "read_dataset": "headstart.dataset",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(
            f"headstart has no public name '{name}'. It has: {', '.join(sorted(_MODULES))}."
        )
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
