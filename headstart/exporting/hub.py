"""A folder as Hugging Face's hub lays one out: card, labels, a model to run, and the bundle.

Nothing is sent anywhere. The bundle lies whole in `bundle/`, with its own checksums.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart import atomic, progress
from headstart.backbones import find_backbone
from headstart.backbones.catalogue import is_brought
from headstart.exporting.order import Order
from headstart.exporting.result import INPUT, OUTPUT, Export
from headstart.exporting.subject import Subject, description
from headstart.exporting.target import Target
from headstart.exporting.writing import write_about, write_checked
from headstart.scan import encodable

BUNDLE = "bundle"
_LICENCES = {
    "Apache-2.0": "apache-2.0",
    "BSD-3-Clause": "bsd-3-clause",
    "CC BY 4.0": "cc-by-4.0",
    "MIT": "mit",
}

_FILES = """
## Files

| file | |
|---|---|
| `{model}` | the whole classifier: `{input}`, uint8 (n, {height}, {width}, 3), RGB, to `{output}`, float32 (n, {classes}) |
| `{model}.json` | classes, resize and how the file was checked |
| `config.json` | the classes by number |
| `bundle/` | what headstart loads, with the figures of every part and, if it was not made with `--no-images`, thumbnails of training images |

Images are resized by `{resize}` to {height} x {width} pixels.
"""  # noqa: E501


def write_hub(order: Order, target: Target) -> Export:
    """Write the folder.

    Raises:
        HeadstartError: It cannot be written, or its model does not answer as it should.
        OSError: No space, or no permission.
    """
    kind = _runnable(order)
    name = {"onnx": "model.onnx", "openvino": "openvino_model.xml"}[kind]
    with atomic.new_folder(target.path) as folder:
        found = write_checked(order, Target(folder / name, kind))
        bundle = folder / BUNDLE
        subject = order.subject
        if subject.folder is not None:
            shutil.copytree(subject.folder, bundle)
        elif subject.run is not None:
            subject.run.save(bundle)
        if (bundle / "report.html").is_file():
            progress.remark(
                "hub", "the folder shows images of yours; fit --no-images leaves them out"
            )
        (folder / "README.md").write_text(_card(subject, bundle, found, name), encoding="utf-8")
        (folder / "config.json").write_text(_config(subject), encoding="utf-8")
        whole = replace(target, path=folder)
        files = whole.files()
        result = replace(
            found,
            path=target.path,
            format="hub",
            files=tuple(one.relative_to(folder).as_posix() for one in files),
        )
        write_about(whole, description(subject, "hub", int8=False), result, files)
    return result


def _runnable(order: Order) -> str:
    """ONNX, or OpenVINO where the weights of the backbone are not at hand."""
    prefix = order.subject.classifier.prefix
    at_hand = order.weights is not None or prefix.backbone is not None
    if at_hand or not is_brought(prefix.identity.backbone):
        return "onnx"
    progress.remark("hub", "the model in it is OpenVINO's; ONNX would take --weights")
    return "openvino"


def _config(subject: Subject) -> str:
    labels = [encodable(name) for name in subject.classifier.class_names]
    return json.dumps(
        {
            "architectures": ["headstart"],
            "model_type": subject.classifier.prefix.identity.backbone,
            "image_size": list(subject.classifier.image_size),
            "id2label": {str(number): name for number, name in enumerate(labels)},
            "label2id": {name: number for number, name in enumerate(labels)},
            "num_labels": len(labels),
        },
        indent=2,
    )


def _card(subject: Subject, bundle: Path, found: Export, model: str) -> str:
    text = (bundle / "README.md").read_text(encoding="utf-8")
    text = text.replace("path/of/this/folder", f"path/of/this/folder/{BUNDLE}")
    height, width = found.image_size
    files = _FILES.format(
        model=model,
        input=INPUT,
        output=OUTPUT,
        height=height,
        width=width,
        classes=len(found.class_names),
        resize=found.resize,
    )
    metrics = json.loads((bundle / "metrics.json").read_text(encoding="utf-8"))
    return f"---\n{_front(subject, metrics['test'], found)}---\n\n{text}{files}"


def _front(subject: Subject, test: Mapping[str, Any], found: Export) -> str:
    """The card's YAML; every text is quoted as JSON has it, which YAML reads."""
    name, data = json.dumps(subject.name), json.dumps(encodable(subject.about["data"]["name"]))
    lines = [
        *_licence(subject.classifier.prefix.identity.backbone),
        "library_name: headstart",
        "pipeline_tag: image-classification",
        "tags:",
        *(f"- {tag}" for tag in ("image-classification", "transfer-learning", found.format)),
    ]
    figures = [
        (kind, test[kind]) for kind in ("accuracy", "macro_f1") if test.get(kind) is not None
    ]
    if figures:
        lines += [
            "metrics:",
            *(f"- {kind.removeprefix('macro_')}" for kind, _ in figures),
            "model-index:",
            f"- name: {name}",
            "  results:",
            "  - task:",
            "      type: image-classification",
            "    dataset:",
            f"      name: {data}",
            f"      type: {data}",
            "      split: test",
            "    metrics:",
        ]
    for kind, value in figures:
        lines += [
            f"    - type: {kind.removeprefix('macro_')}",
            f"      name: {kind.replace('_', ' ')}",
            f"      value: {value:.4f}",
        ]
    return "".join(f"{line}\n" for line in lines)


def _licence(backbone: str) -> list[str]:
    """That of the backbone's weights: what is made of them falls under it."""
    if is_brought(backbone):
        return ["license: other", "license_name: that-of-the-backbone"]
    licence = find_backbone(backbone).licence
    if licence in _LICENCES:
        return [f"license: {_LICENCES[licence]}"]
    return ["license: other", f"license_name: {json.dumps(licence)}"]
