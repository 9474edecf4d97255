"""How to use and ship the classifier, where the time went, and what is needed to make it again."""

from __future__ import annotations

import json

from headstart.errors import HeadstartError
from headstart.recipe import recipe_from_dict, write_recipe
from headstart.reporting.blocks import Column, Section, code, note, pairs, table, unfold
from headstart.reporting.charts import bar
from headstart.reporting.html import Child, join, name, tag
from headstart.reporting.material import Material, part
from headstart.reporting.wording import count, duration

_COMMANDS = """\
headstart predict BUNDLE new.jpg
headstart evaluate BUNDLE NEW_LABELLED_IMAGES
headstart describe BUNDLE"""

_PYTHON = """\
import headstart

classifier = headstart.load("BUNDLE")
print(classifier.predict("new.jpg"))"""


def usage(material: Material) -> Section:
    """How to use it and take it elsewhere."""
    body = [
        tag("p", tag("code", "BUNDLE"), " is the folder that this report lies in."),
        tag(
            "div.two",
            tag("div", tag("h3", "On the command line"), code(_COMMANDS, "Commands")),
            tag("div", tag("h3", "In Python"), code(_PYTHON, "Python")),
        ),
        tag(
            "p",
            "To ship it, copy the folder: all it needs is in there. A prediction loads neither "
            "Keras nor TensorFlow, nothing of it is pickled, and its files are checked when it is "
            "loaded. ",
            tag("code", "example.png"),
            " and ",
            tag("code", "example.json"),
            " say what it should answer.",
        ),
    ]
    return Section("usage", "How to use it", "Use", join(body))


def times(material: Material) -> Section | None:
    """Where the time went."""
    seconds = part(material.extra, "seconds")
    stages = {one: value for one, value in seconds.items() if one != "total"}
    if not stages:
        return None
    total = seconds.get("total") or sum(stages.values()) or 1.0
    rest = total - sum(stages.values())
    if rest >= 0.05:
        stages["other"] = rest
    columns = [Column("stage"), Column("time", "number"), Column("share", "strip")]
    rows = [(one, duration(value), bar(value / total)) for one, value in stages.items()]
    told = f"{duration(total)} in all, without saving."
    if (computed := material.extra.get("computed")) is not None:
        made = f"{count(computed, 'feature was', 'features were')} computed"
        told += f" {made if computed else 'All features were kept from before'}."
    body = join([tag("p", told), table("Time of each stage", columns, rows)])
    return Section("times", "Where the time went", "Times", body)


def again(material: Material) -> Section:
    """Everything needed to make it again."""
    data, versions = material.data, part(material.about, "versions")
    counts = ", ".join(f"{number:,} {one}" for one, number in part(data, "images").items())
    rows: list[tuple[str, Child]] = [
        ("Data", [name(data.get("name", "")), f": {counts}" if counts else None]),
        ("Fingerprint", tag("code.wrap", str(data.get("fingerprint", "")))),
        ("Not used", count(data.get("skipped") or 0, "file")),
        ("Seed", str(material.recipe.get("seed", ""))),
        ("Versions", ", ".join(f"{one} {version}" for one, version in versions.items())),
    ]
    command = "headstart fit DATA --recipe BUNDLE/recipe.toml --out again.headstart"
    body = [
        tag("p", "The same images, recipe and seed give the same classifier:"),
        code(command, "Command"),
        pairs(rows),
        unfold("recipe.toml: every choice", code(_recipe(material), "recipe.toml"))
        if material.recipe
        else None,
        note(
            "The fingerprint is of the images and their labels, whatever their order and names; "
            "the bundle of the new run has the same where the data are the same."
        ),
    ]
    return Section("again", "Make it again", "Reproduce", join(body))


def _recipe(material: Material) -> str:
    try:
        return write_recipe(recipe_from_dict(material.recipe))
    except HeadstartError:  # of another version, with other choices
        return json.dumps(material.recipe, indent=2)
