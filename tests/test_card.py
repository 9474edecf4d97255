from __future__ import annotations

import datetime
import html
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headstart.card import escape, model_card
from headstart.dataset import Dataset
from headstart.recipe import NAMED, Recipe

HOSTILE = [
    "# Title",
    "[click](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt;",
    "a | b | c",
    "`rm -rf`",
    "**bold** _it_ ~~gone~~",
    "back\\slash\\",
    "$x^2$ \\(y\\)",
    "two\n\n## lines\r\n---\u2028| x |",
    "turned \u202e\x1b[2J",
    "bad \udcff",
]
DATA = {
    "images": {"train": 70, "validation": 10, "test": 20},
    "skipped": 3,
    "fingerprint": "0123abcd",
}
# Whatever stands for a mark that could mean something, with and without a backslash before it.
MARK = re.compile(r"(\\*)([`*_{}\[\]()#|!~$])")


def fake_evaluation(accuracy: float | None = 0.9) -> Any:
    low, high = (None, None) if accuracy is None else (0.699, 0.972)
    return SimpleNamespace(accuracy=accuracy, low=low, high=high, baseline=0.25)


def fake_dataset(name: str, class_names: tuple[str, ...]) -> Dataset:
    labels = np.arange(len(class_names), dtype=np.int64)
    paths = tuple(Path(f"{label}.jpg") for label in labels)
    return Dataset(name, paths, labels, class_names, np.full(len(labels), -1, np.int8), ())


def card(*class_names: str, name: str = "flowers", **choices: Any) -> str:
    recipe = replace(NAMED["frozen"], image_size=(224, 320), **choices)
    return model_card(fake_dataset(name, class_names), recipe, fake_evaluation(), DATA)


def test_the_card_tells_what_there_is() -> None:
    text = card("rose", "tulip", head="mlp", seed=7)
    for part in [
        "# Image classifier: flowers\n",
        "\nTells apart 2 classes: rose, tulip.\n",
        datetime.date.today().isoformat(),
        "On 20 test images it is right for 90.0% (95% interval 69.9% to 97.2%).",
        "the most frequent class is right for 25.0%",
        "| data | flowers: 70 train, 10 validation, 20 test images, 3 files skipped |",
        "| data fingerprint | `0123abcd` |",
        "| backbone | efficientnet_lite0, weights: imagenet, frozen |",
        "| images | 224 x 320 pixels, squash |",
        "| head | mlp, class weight auto, seed 7 |",
    ]:
        assert part in text


def test_without_a_test_part_there_is_no_figure() -> None:
    dataset = fake_dataset("flowers", ("rose", "tulip"))
    text = model_card(dataset, Recipe(image_size=224), fake_evaluation(None), DATA)
    assert "It was not tested: there was no test part." in text
    assert "%" not in text


def test_random_weights_are_said_to_be_random() -> None:
    assert "weights: random, frozen" in card("a", "b", weights=None)


def test_only_the_first_classes_are_named() -> None:
    text = card(*(f"class-{number}." for number in range(53)))
    assert "Tells apart 53 classes: class-0., " in text
    assert "class-49. and 3 more.\n" in text
    assert "class-50" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_escaped_text_has_no_markup(name: str) -> None:
    escaped = escape(name)
    assert escaped.isprintable()
    assert not set("<>") & set(escaped)
    assert all(len(before) % 2 for before, _ in MARK.findall(escaped))
    assert re.sub(r"&(amp|lt|gt);", "", escaped).count("&") == 0
    escaped.encode("utf-8")


@pytest.mark.parametrize("name", HOSTILE)
def test_escaped_text_reads_as_it_was(name: str) -> None:
    shown = html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escape(name)))
    flat = " ".join(name.split())
    if flat.isprintable():
        assert shown == flat
    else:
        assert shown.startswith(("turned \\u202e\\x1b", "bad \\xff"))


@pytest.mark.parametrize("name", ["rose", "Küche 猫", "oak-tree.2, old", "it's"])
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert escape(name) == name


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_do_not_change_the_card(name: str) -> None:
    plain = card("x", "rose", name="x", weights="x").splitlines()
    hostile = card(name, "rose", name=name, weights=name).splitlines()
    put_back = [line.replace(escape(name), "x") for line in hostile]
    assert put_back == plain
