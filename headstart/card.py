"""The model card of a bundle: what it does, how good it is, how to use it, how it was made."""

from __future__ import annotations

import datetime
from typing import Any

from headstart.backbones import BackboneInfo, find_backbone, short_name
from headstart.backbones.catalogue import HUB_PREFIX, OWN_PREFIX
from headstart.dataset import Dataset
from headstart.evaluation import Evaluation
from headstart.recipe import Recipe
from headstart.scan import display

_MOST_CLASSES = 50  # listed by name

_USE = """## How to use it

```python
import headstart

classifier = headstart.load("path/of/this/folder")
print(classifier.predict("new.jpg"))
```

or `headstart predict path/of/this/folder new.jpg`. `example.png`, where it is
there, is a test image; `example.json` has its expected answer.

It always answers with one of its classes, also for an image of something else. `.unknown` of an
answer is True where the image is unlike all training images, and `.candidates` has the classes that
it may be, so that 9 of 10 images have theirs among them. It is to be trusted for images like those
it was trained on: the same kind of camera, light and background.

`reference.safetensors` holds thumbnails of training images: think of that before you
give this folder away.
"""


def model_card(
    dataset: Dataset,
    recipe: Recipe,
    test: Evaluation,
    data: dict[str, Any],
    backbone: BackboneInfo | None = None,
) -> str:
    """Write the card as Markdown; names of classes, data and files are escaped.

    Without `backbone` it is looked up by its name in the recipe.
    """
    classes = f"{len(dataset.class_names)} classes: {_class_list(dataset.class_names)}"
    return f"""# Image classifier: {escape(dataset.name)}

Tells apart {classes}.
Made by headstart on {datetime.date.today().isoformat()}.

## How good it is

{_sentence(test, data["images"]["test"])}
The images of the test part had no say in training or in any choice. `metrics.json` has the figures
for every class, the confusion matrix and the calibration error.

{_USE}
## How it was made

{_parts(dataset, recipe, data, _backbone_rows(recipe, backbone))}
The whole recipe, the versions of all packages and the checksum of every file are in `bundle.json`.
"""


def _parts(dataset: Dataset, recipe: Recipe, data: dict[str, Any], backbone_rows: str) -> str:
    images = ", ".join(f"{count} {name}" for name, count in data["images"].items())
    height, width = recipe.height_and_width or (0, 0)
    return f"""| | |
|---|---|
| data | {escape(dataset.name)}: {images} images, {data["skipped"]} files skipped |
| data fingerprint | `{data["fingerprint"]}` |
{backbone_rows}
| images | {height} x {width} pixels, {recipe.resize} |
| head | {recipe.head}, class weight {recipe.class_weight}, seed {recipe.seed} |
"""


def _backbone_rows(recipe: Recipe, backbone: BackboneInfo | None) -> str:
    called = short_name(recipe.backbone) if backbone is None else backbone.name
    if called.startswith(OWN_PREFIX):
        name, licence = called, "the user's own"
        source = "the user's own model" if backbone is None else escape(backbone.paper)
        weights = "those of the model, without its classifier"
    elif called.startswith(HUB_PREFIX):
        name, licence, weights = called, "that of the preset", "those of the preset"
        source = "a preset of KerasHub" if backbone is None else escape(backbone.paper)
    else:
        info = backbone or find_backbone(called)
        name, licence, source = info.name, info.licence, info.paper
        weights = "random" if recipe.weights is None else escape(recipe.weights)
    return f"""| backbone | {name}, weights: {weights}, {escape(recipe.depth)} |
| licence of the backbone's weights | {licence} |
| source | {source} |"""


def _sentence(test: Evaluation, images: int) -> str:
    if test.accuracy is None or test.low is None or test.high is None:
        return "It was not tested: there was no test part."
    return (
        f"On {images} test images it is right for {test.accuracy:.1%} (95% interval "
        f"{test.low:.1%} to {test.high:.1%}). Always answering the most frequent class is right "
        f"for {test.baseline:.1%}."
    )


def _class_list(names: tuple[str, ...]) -> str:
    shown = ", ".join(escape(name) for name in names[:_MOST_CLASSES])
    more = len(names) - _MOST_CLASSES
    return f"{shown} and {more} more" if more > 0 else shown


def escape(text: str) -> str:
    """Make a name harmless inside Markdown and HTML."""
    flat = display(" ".join(text.split()))
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join("\\" + mark if mark in "\\`*_{}[]()#|!~$" else mark for mark in flat)
