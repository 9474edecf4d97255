"""The beginning: the result in a sentence, whether it can be trusted, and images like those."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headstart.reporting.blocks import Section, image, link
from headstart.reporting.charts import hundred
from headstart.reporting.html import Child, Markup, cut, is_image, join, name, tag
from headstart.reporting.material import Material, labels_judged, part
from headstart.reporting.wording import around, count, day, of_hundred, percent, sure

FEW_TEST_IMAGES = 100
FEW_OF_CLASS = 10
LOW_RECALL = 0.5
_CHECKUP = link("the check-up", "checkup")
MANY_LABELS = 0.05  # of the images; more labels in doubt say something of the classifier, too
UNSURE = 0.05  # calibration error from which probabilities are not to be taken as they are
MOST_CLASSES = 8  # named at the beginning


@dataclass(frozen=True)
class Check:
    """One reason to trust the result, or to take care."""

    fine: bool
    title: str
    told: Child


def opening(material: Material) -> Markup:
    """The result in one sentence, with a hundred dots to see it."""
    test = material.test
    images = test.get("images") or 0
    kicker = tag(
        "p.kicker",
        tag("span.brand", "headstart"),
        " report on ",
        name(material.data.get("name", "")),
        [" \u00b7 ", day(material.extra["made"])] if material.extra.get("made") else None,
    )
    if test.get("accuracy") is None or test.get("low") is None or not images:
        lead = tag("p.lead", "There was no test part, so nothing is known of new images.")
        return tag("div.opening", tag("div", kicker, tag("h1", "It was not tested."), lead))
    right = of_hundred(test["accuracy"])
    low, high = around(test["low"], test["high"])
    told = (
        f"A hundred dots for a hundred new images: {low} full, named right at least; {high - low} "
        f"pale, named right perhaps; {100 - high} hollow, named wrong."
    )
    words = tag(
        "div",
        kicker,
        tag("h1", f"Of 100 new images like these, about {right} will be named right."),
        tag(
            "p.lead",
            f"Between {low} and {high}, with 95% confidence: it named "
            f"{round(test['accuracy'] * images):,} of ",
            f"{count(images, 'test image')} right, which had no say in any choice.",
        ),
        tag("p", *_baseline(material)),
    )
    key = tag(
        "ul.legend",
        tag("li", tag("span.key.sure"), f"right, at least {low}"),
        tag("li", tag("span.key.maybe"), f"perhaps, up to {high}") if high > low else None,
        tag("li", tag("span.key.miss"), "wrong") if high < 100 else None,
    )
    return tag("div.opening", words, tag("div.dots", hundred(low, high, told), key))


def _baseline(material: Material) -> Iterator[Child]:
    test, names = material.test, list(material.about.get("class_names") or ())
    if test.get("baseline") is not None:
        yield "Always answering "
        yield tag("em", name(test["baseline_class"]))
        yield f", the most frequent class, would name {of_hundred(test['baseline'])} right. "
    yield f"It tells apart {count(len(names), 'class', 'classes')}: "
    yield from (_names(names, MOST_CLASSES), ".")


def trusted(material: Material) -> Section | None:
    """Whether the result can be trusted, reason by reason."""
    if not material.test.get("images"):
        return None
    checks = list(_checks(material))
    care = sum(not one.fine for one in checks)
    if care:
        verdict = f"Take it with care: {count(care, 'point')} below needs a look."
        verdict = verdict if care == 1 else verdict.replace("needs", "need")
    else:
        verdict = "Yes, for images like these: the same kind of camera, light and background."
    rows = [
        tag(
            "li.fine" if one.fine else "li.care",
            tag("strong", tag("span.spoken", "Fine: " if one.fine else "Care: "), one.title),
            " ",
            one.told,
        )
        for one in sorted(checks, key=lambda one: one.fine)
    ]
    scope = (
        "The test images come from the same collection as those it learned from. Of another "
        "camera, place or season the figure says nothing: evaluate it on such images first."
    )
    body = join([tag("p.verdict", verdict), tag("ul.checks", rows), tag("p.note", scope)])
    return Section("trust", "Can it be trusted?", "Trust", body)


def _checks(material: Material) -> Iterator[Check]:
    test = material.test
    images, half = test["images"], (test["high"] - test["low"]) / 2
    sized = f"The figure is good to about {100 * half:.1f} points either way."
    if images < FEW_TEST_IMAGES:
        sized += " More labelled images would narrow that."
    few = "Few test images." if images < FEW_TEST_IMAGES else "Enough test images."
    yield Check(images >= FEW_TEST_IMAGES, few, f"{count(images, 'image')}. {sized}")
    if test.get("baseline") is not None:
        better = test["low"] > test["baseline"]
        told = f"The most frequent class alone gives {percent(test['baseline'])}."
        yield Check(better, "Better than guessing." if better else "No better than guessing.", told)
    yield from _copies(material)
    yield from _weak(material)
    yield from _sureness(material)
    yield from _labels(material)
    if part(material.checkup, "counts").get("shortcut"):
        said: Child = ["Something besides what is shown tells the classes: see ", _CHECKUP, "."]
        yield Check(False, "A shortcut.", said)
    if part(material.about, "fine_tuning").get("stopped") == "interrupted":
        yield Check(False, "Stopped early.", "Training was ended by hand.")


def _copies(material: Material) -> Iterator[Check]:
    leaks = max(part(material.checkup, "counts").get("leak") or 0, material.extra.get("leaks") or 0)
    if leaks:
        told = f"{count(leaks, 'image has', 'images have')} a copy on another side of it, which "
        told += "makes the figure look better than it is."
        yield Check(False, "Copies across the split.", told)
    elif "leaks" in material.extra or material.checkup:
        told = "No test image is a copy of one that was learned from."
        yield Check(True, "No leaks.", told)


def _weak(material: Material) -> Iterator[Check]:
    classes = [one for one in material.test["classes"] if one["images"]]
    few = [one["name"] for one in classes if one["images"] < FEW_OF_CLASS]
    if few:
        told = ["Under ", str(FEW_OF_CLASS), " images of ", _names(few), " were tested."]
        yield Check(False, "Classes with hardly any test images.", told)
    low = [one["name"] for one in classes if one["recall"] < LOW_RECALL]
    if low:
        told = ["Under half of the images of ", _names(low), " are found."]
        yield Check(False, "Classes that are mostly missed.", told)
    elif classes and not few:
        worst = min(classes, key=lambda one: one["recall"])
        told = ["The weakest is ", name(worst["name"]), f", found {percent(worst['recall'], 0)}"]
        yield Check(True, "No class is left behind.", [*told, " of the time."])


def _names(names: list[str], most: int = 3) -> Markup:
    more = len(names) - most
    parts: list[Child] = []
    for number, one in enumerate(names[:most]):
        parts += [", " if number else None, name(one)]
    return join([*parts, f" and {more:,} more" if more > 0 else None])


def _sureness(material: Material) -> Iterator[Check]:
    after = part(part(material.trust, "calibration"), "after")
    error = after.get("calibration_error", material.test.get("calibration_error"))
    if error is None:
        return
    told = f"A stated probability is off by {100 * error:.1f} points on average."
    if error < UNSURE:
        yield Check(True, "Probabilities mean what they say.", told)
    else:
        yield Check(False, "Probabilities are rough.", told)


def _labels(material: Material) -> Iterator[Check]:
    counts = part(material.checkup, "counts")
    wrong = (counts.get("label") or 0) + (counts.get("two_labels") or 0)
    if wrong:
        many = wrong > MANY_LABELS * (material.checkup.get("images") or wrong)
        told: list[Child] = [f"{count(wrong, 'finding')} of ", _CHECKUP, "."]
        if many:
            told.append(
                " So many may well say that classes look alike to it, not that all are wrong."
            )
        yield Check(False, "Labels in doubt.", told)
    elif labels_judged(material):
        yield Check(True, "No label in doubt.", "The check-up found none.")


def examples(material: Material) -> Section | None:
    """A test image of each class, as sure as half of them, with its answer."""
    found = [one for one in material.extra.get("examples") or () if is_image(one.get("image"))]
    if not found:
        return None
    cards = []
    for one in found:
        right = one["true"] == one["answer"]
        said: Child = [f"{sure(one['probability'])} sure"]
        if not right:
            said = ["taken for ", name(one["answer"])]
        cards.append(
            tag(
                "li",
                image(one["image"], f"Test image of {cut(one['true'])}"),
                tag("strong", name(one["true"])),
                tag("span.soft" if right else "span.wrong", said),
            )
        )
    more = len(material.about.get("class_names") or ()) - len(found)
    told = "One test image of each class, neither of the surest nor of the least sure."
    rest = f" Of {count(more, 'more class', 'more classes')} none is shown." if more > 0 else ""
    body = join([tag("p", told, rest), tag("ul.examples", cards)])
    return Section("examples", "Images like these", "Images", body)
