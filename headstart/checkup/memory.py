"""A check-up is kept, so that the same images, labels and features are looked over once.

A note that is damaged, or of another version, is none.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from headstart.checkup.finding import Finding
from headstart.checkup.result import CheckUp
from headstart.locations import cache_root
from headstart.notes import read_note, write_note
from headstart.preparation import Prepared

_FOLDER = "checkups-1"  # the number changes with what is found and how it is told
_MOST = 50_000  # images; of more the note would be large
STAGES = ("labels", "neighbours", "looks")


def place_of(prepared: Prepared, side: int, seed: int) -> Path | None:
    """The note of a check-up, by all that it depends on; None for very many images."""
    dataset = prepared.dataset
    if len(dataset.paths) > _MOST:
        return None
    texts = [list(dataset.class_names), [str(path) for path in dataset.paths], str(dataset.root)]
    problems = [[one.path, one.reason] for one in dataset.problems]
    made = [prepared.features.key, side, seed]
    total = hashlib.sha256(json.dumps([*texts, problems, *made]).encode())
    for one in prepared.features.digests:
        total.update(one)
    for array in (dataset.labels, dataset.parts, prepared.groups):
        total.update(np.ascontiguousarray(array).tobytes())
    total.update(json.dumps(prepared.split.leaks).encode())
    return cache_root() / "images" / _FOLDER / f"{total.hexdigest()}.json"


def recall(place: Path | None, prepared: Prepared) -> CheckUp | None:
    """What was found in the same images before, or None."""
    values = {} if place is None else read_note(place)
    with suppress(LookupError, TypeError, AttributeError):
        return CheckUp(
            findings=tuple(_finding(one) for one in values["findings"]),
            images=len(prepared.dataset.paths),
            class_names=prepared.dataset.class_names,
            root=prepared.dataset.root,
            label_ranking=tuple(values["ranking"]),
            seconds=dict.fromkeys(STAGES, 0.0),
        )
    return None


def _finding(values: dict[str, Any]) -> Finding:
    own = {field.name: values[field.name] for field in fields(Finding)}
    return Finding(**{**own, "files": tuple(own["files"]), "classes": tuple(own["classes"])})


def remember(place: Path | None, found: CheckUp) -> None:
    """Note what was found, unless something was left out."""
    if place is not None and not found.left_out:
        findings = [one.to_dict() for one in found.findings]
        write_note(place, {"findings": findings, "ranking": list(found.label_ranking)})
