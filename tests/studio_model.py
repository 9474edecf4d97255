"""A project of the studio that has a trained model."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from tiny_run import trained

from headstart.studio import works
from headstart.studio.place import open_place


def with_model(root: Path) -> Path:
    """A project of three classes with one model, whose answers on the test part are kept."""
    shutil.copytree(trained().photos, root)
    own = open_place(root)
    shutil.copytree(trained().bundle, own.models / "1")
    works.keep_answers(own, "1", _here(root))
    works.keep_checkup(own, trained().run.checkup, "")
    return root


def _here(root: Path) -> Any:
    """The run, as if it had been made of the project's copies of the images."""
    run = trained().run
    files = tuple((root / path.relative_to(trained().photos), to) for path, to in run.files["test"])
    return replace(run, files={**run.files, "test": files})
