"""What is exported: the classifier, and what is said of it inside and beside the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.bundle import classifier_of, read_about
from headstart.classifier import Classifier
from headstart.exporting.material import Material, from_data, from_files, of_bundle
from headstart.exporting.network import Weights, find_backbone_of
from headstart.exporting.result import INPUT, OUTPUT
from headstart.images import FILTER, PAD_COLOUR
from headstart.origin import PARTS, drawn, read_origin
from headstart.run import Run
from headstart.scan import encodable
from headstart.versions import installed_versions

MADE_BY = "headstart export"


@dataclass(frozen=True, eq=False)
class Subject:
    """A bundle, or a run in memory.

    Attributes:
        classifier: Loaded.
        about: What bundle.json says; of a run what it would say.
        folder: Of the bundle; None for a run.
        run: Where it was trained in this process.
    """

    classifier: Classifier
    about: Mapping[str, Any]
    folder: Path | None
    run: Run | None = None

    @property
    def name(self) -> str:
        """What files are called after."""
        if self.folder is None:
            return str(self.about["data"]["name"]).partition(".")[0] or "classifier"
        return self.folder.resolve().stem

    def material(self, data: str | os.PathLike[str] | None) -> Material:
        """The images to check with.

        Raises:
            DatasetError: `data` cannot be used.
        """
        if data is not None:
            return from_data(self.classifier, os.fspath(data))
        name = "validation part"
        if self.run is not None:
            files = {part: drawn(self.run.files[part]) for part in PARTS}
        else:
            files = read_origin(str(self.about["checksum"]))
            name = f"{name} of {encodable(str(self.about['data']['name']))}"
        if files.get("validation"):
            return from_files(self.classifier, files["validation"], files["train"], name)
        return of_bundle(self.classifier, self.folder)

    def backbone(self, weights: Weights) -> Any:
        """The backbone, not built yet; see `find_backbone_of`."""
        mine = self.classifier.prefix.backbone
        if weights is None and mine is not None:
            return mine
        return find_backbone_of(
            self.classifier, weights, str(self.about["recipe"].get("preprocessing", "auto"))
        )


def open_subject(source: str | os.PathLike[str] | Run) -> Subject:
    """Load a bundle, or take a run as it is.

    Raises:
        HeadstartError: Not a bundle, from a newer headstart, or damaged.
    """
    if isinstance(source, Run):
        about = {"recipe": source.recipe.to_dict(), "data": source.contents.data}
        return Subject(source.classifier, about, None, source)
    folder = Path(source)
    found = read_about(folder)
    return Subject(classifier_of(folder, found), found, folder)


def description(subject: Subject, format_name: str, *, int8: bool) -> dict[str, Any]:
    """What is said of an export, inside and beside it, as JSON values."""
    classifier = subject.classifier
    height, width = classifier.image_size
    labels = [encodable(name) for name in classifier.class_names]
    kind = "in 8 bits" if int8 else "in float32"
    return {
        "made_by": MADE_BY,
        "format": format_name,
        "int8": int8,
        "description": f"Image classifier of {len(labels)} classes, made by headstart, {kind}.",
        "labels": labels,
        "input": {"name": INPUT, "type": "uint8", "shape": ["n", height, width, 3], "mode": "RGB"},
        "output": {"name": OUTPUT, "type": "float32", "shape": ["n", len(labels)]},
        "image_size": [height, width],
        "resize": classifier.resize,
        "filter": FILTER.name.lower(),
        "pad_colour": list(PAD_COLOUR),
        "backbone": classifier.prefix.identity.backbone,
        "head": classifier.head.kind,
        "data": encodable(str(subject.about["data"]["name"])),
        "data_fingerprint": subject.about["data"]["fingerprint"],
        "bundle": subject.about.get("checksum", ""),
        "versions": installed_versions(),
    }
