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
    from headstart.backbones.fetch import Fetched, fetch_backbone
    from headstart.batch import predict_to_table, sort_into, watch
    from headstart.blocks import extract, freeze, unfreeze
    from headstart.bundle import load
    from headstart.checkup import CheckUp, Finding, check
    from headstart.classifier import Classifier
    from headstart.comparison import Comparison, compare
    from headstart.crossvalidation import CrossValidation, cross_validate
    from headstart.cut import cut_at, cut_before_last, cut_points
    from headstart.dataset import Dataset, read_dataset
    from headstart.description import Description, describe
    from headstart.estimator import ImageClassifier
    from headstart.evaluation import Evaluation
    from headstart.explanation import Explanation, explain
    from headstart.exporting import Export, export
    from headstart.fixes import apply_fixes
    from headstart.ranking import Ranked, Ranking, rank
    from headstart.recipe import Recipe, read_recipe, write_recipe
    from headstart.reporting import Report, report
    from headstart.run import Run
    from headstart.trackers import track
    from headstart.training import fit
    from headstart.tuning import Tuning

__version__ = "0.1.0"

__all__ = [
    "CheckUp",
    "Classifier",
    "Comparison",
    "CrossValidation",
    "Dataset",
    "DatasetError",
    "Description",
    "Evaluation",
    "Explanation",
    "Export",
    "Fetched",
    "Finding",
    "HeadstartError",
    "ImageClassifier",
    "MissingExtra",
    "Ranked",
    "Ranking",
    "Recipe",
    "Report",
    "Run",
    "Tuning",
    "__version__",
    "apply_fixes",
    "check",
    "compare",
    "cross_validate",
    "cut_at",
    "cut_before_last",
    "cut_points",
    "describe",
    "explain",
    "export",
    "extract",
    "fetch_backbone",
    "fit",
    "freeze",
    "list_backbones",
    "load",
    "load_backbone",
    "predict_to_table",
    "rank",
    "read_dataset",
    "read_recipe",
    "report",
    "sort_into",
    "track",
    "unfreeze",
    "watch",
    "write_recipe",
]

_MODULES = {
    "CheckUp": "headstart.checkup",
    "Classifier": "headstart.classifier",
    "Comparison": "headstart.comparison",
    "CrossValidation": "headstart.crossvalidation",
    "Dataset": "headstart.dataset",
    "Description": "headstart.description",
    "Evaluation": "headstart.evaluation",
    "Explanation": "headstart.explanation",
    "Export": "headstart.exporting",
    "Fetched": "headstart.backbones.fetch",
    "Finding": "headstart.checkup",
    "ImageClassifier": "headstart.estimator",
    "Ranked": "headstart.ranking",
    "Ranking": "headstart.ranking",
    "Recipe": "headstart.recipe",
    "Report": "headstart.reporting",
    "Run": "headstart.run",
    "Tuning": "headstart.tuning",
    "apply_fixes": "headstart.fixes",
    "check": "headstart.checkup",
    "compare": "headstart.comparison",
    "cross_validate": "headstart.crossvalidation",
    "cut_at": "headstart.cut",
    "cut_before_last": "headstart.cut",
    "cut_points": "headstart.cut",
    "describe": "headstart.description",
    "explain": "headstart.explanation",
    "export": "headstart.exporting",
    "extract": "headstart.blocks",
    "fetch_backbone": "headstart.backbones.fetch",
    "fit": "headstart.training",
    "freeze": "headstart.blocks",
    "list_backbones": "headstart.backbones",
    "load": "headstart.bundle",
    "load_backbone": "headstart.backbones",
    "predict_to_table": "headstart.batch",
    "rank": "headstart.ranking",
    "read_dataset": "headstart.dataset",
    "read_recipe": "headstart.recipe",
    "report": "headstart.reporting",
    "sort_into": "headstart.batch",
    "track": "headstart.trackers",
    "unfreeze": "headstart.blocks",
    "watch": "headstart.batch",
    "write_recipe": "headstart.recipe",
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
