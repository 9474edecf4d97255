"""The work of each kind of job: training, check-up, export; a request in, the result's values out.

These run in the job's own process.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from headstart import atomic
from headstart.checkup import CheckUp, check
from headstart.exporting import export
from headstart.notes import read_note
from headstart.origin import read_origin
from headstart.recipe import Recipe
from headstart.reporting.material import read_object
from headstart.run import Run
from headstart.scan import display_path
from headstart.studio.choices import BUNDLE, recipe_of, time_limit_of
from headstart.studio.models import Models
from headstart.studio.place import Place, open_place
from headstart.studio.shipping import export_name, exports_of, pack
from headstart.studio.traces import content_of
from headstart.training import fit


def train(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train a classifier into the project's models."""
    place = open_place(request["root"])
    recipe = recipe_of(request["time"], request["options"])
    number = next_model(place)
    run = fit(
        place.root,
        recipe,
        out=place.models / number,
        time_limit=time_limit_of(request["time"]),
    )
    keep_answers(place, number, run)
    keep_checkup(place, run.checkup, request.get("fingerprint", ""))
    state = "cancelled" if run.interrupted else "done"
    return {"state": state, "model": number, "seconds": run.seconds["total"]}


def next_model(place: Place) -> str:
    """The number of the next model: none that a model, an export or a job has, or had."""
    names = [one.name for one in place.models.iterdir()]
    with suppress(OSError):
        names += os.listdir(place.own / "exports")
    for result in place.jobs.glob("*/result.json"):
        names.append(str(read_note(result).get("model")))
    return str(max([0, *(int(one) for one in names if one.isdecimal())]) + 1)


def keep_answers(place: Place, number: str, run: Run) -> None:
    """Write down how each test image was answered, to look the images up by their answers."""
    names, rows = run.classifier.class_names, []
    if run.probabilities is not None:
        for (path, true), values in zip(run.files["test"], run.probabilities, strict=True):
            best = int(values.argmax())
            shown = display_path(os.path.relpath(path, place.root))
            answer = names[best], round(float(values[best]), 6)
            rows.append([shown, true, *answer, *content_of(path)])
    values = {"seconds": run.seconds["total"], "interrupted": run.interrupted, "answers": rows}
    atomic.write_file(place.models / f"{number}.json", json.dumps(values))


def look_over(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Check the project's images."""
    place = open_place(request["root"])
    keep_checkup(place, check(place.root, Recipe()), request.get("fingerprint", ""))
    return {}


def keep_checkup(place: Place, found: CheckUp, fingerprint: str) -> None:
    """Keep what a check-up found; one that left labels out does not take a whole one's place."""
    target = place.own / "checkup.json"
    values = {"fingerprint": fingerprint, **found.to_dict()}
    if found.left_out and target.is_file():
        before = json.loads(target.read_text(encoding="utf-8"))
        if before["fingerprint"] == fingerprint and not before["left_out"]:
            return
    atomic.write_file(target, json.dumps(values))


def export_model(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Export a model, for download."""
    place, key = open_place(request["root"]), str(request["model"])
    bundle, to, int8 = Models(place).folder(key), request["to"], bool(request["int8"])
    name = export_name(place, key, to, int8=int8)
    target = exports_of(place, key) / name
    if to == BUNDLE:
        pack([(one, one.name) for one in sorted(bundle.iterdir()) if one.is_file()], target)
        return {"model": key, "file": name}
    with tempfile.TemporaryDirectory(dir=folder) as made:
        os.chdir(made)  # where an export goes that is given no place
        try:
            noted = read_origin(str(read_object(bundle / "bundle.json", needed=True)["checksum"]))
            data = None if noted.get("validation") else place.root
            found = export(bundle, to, int8=int8, data=data)
            files = [one for one in sorted(Path(made).rglob("*")) if one.is_file()]
            pack([(one, one.relative_to(made).as_posix()) for one in files], target)
        finally:
            os.chdir(folder)
    return {"model": key, "file": name, "agreement": found.check.agreement}
