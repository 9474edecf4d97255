"""What a report says: the sentence at the top, the reasons to trust, and what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from report_material import NAMES, full_material
from test_report_page import read

from headstart.evaluation import evaluate
from headstart.reporting.material import Material
from headstart.reporting.page import page

Change = Callable[[Material], Any]


def words(material: Material) -> str:
    return " ".join("".join(read(material).text).split())


def checks(material: Material) -> dict[str, bool]:
    """Each reason to trust, and whether it is fine."""
    found = re.findall(
        r'<li class="(fine|care)"><strong><span.*?</span>(.*?)</strong>', page(material)
    )
    return {title: kind == "fine" for kind, title in found}


def figures(right: int, images: int) -> dict[str, Any]:
    """So many right of so many, in turn of two classes."""
    labels = np.arange(images) % 2
    answers = np.where(np.arange(images) < right, labels, 1 - labels)
    return evaluate(np.eye(2)[answers] * 0.98 + 0.01, labels, ("a", "b")).to_dict()


@pytest.mark.parametrize(
    ("right", "images", "sentence", "interval"),
    [
        (93, 100, "about 93 will be named right.", "Between 86 and 97, with 95% confidence"),
        (1999, 2000, "about 99 will be named right.", "Between 99 and 100, with 95% confidence"),
        (20, 20, "about 100 will be named right.", "Between 83 and 100, with 95% confidence"),
        (1, 2000, "about 1 will be named right.", "Between 0 and 1, with 95% confidence"),
    ],
)
def test_the_sentence_at_the_top(right: int, images: int, sentence: str, interval: str) -> None:
    said = words(Material({"class_names": ["a", "b"]}, {"test": figures(right, images)}))
    assert f"Of 100 new images like these, {sentence}" in said
    assert f"{interval}: it named {right:,} of {images:,} test images right" in said
    assert "Always answering a, the most frequent class, would name 50 right." in said


def set_test(values: dict[str, Any]) -> Change:
    return lambda material: material.metrics.update(test=values)


def calibrated(error: float) -> Change:
    return lambda material: material.metrics["trust"]["calibration"]["after"].update(
        calibration_error=error
    )


def counted(**counts: int) -> Change:
    return lambda material: material.checkup.update(counts=counts)


@pytest.mark.parametrize(
    ("change", "title", "fine"),
    [
        (set_test(figures(90, 100)), "Enough test images.", True),
        (set_test(figures(89, 99)), "Few test images.", False),
        (set_test(figures(63, 100)), "Better than guessing.", True),
        (set_test(figures(55, 100)), "No better than guessing.", False),
        (set_test(figures(12, 18)), "Classes with hardly any test images.", False),
        (set_test(figures(40, 100)), "Classes that are mostly missed.", False),
        (set_test(figures(60, 100)), "No class is left behind.", True),
        (lambda material: material.extra.update(leaks=0), "No leaks.", True),
        (lambda material: material.extra.update(leaks=1), "Copies across the split.", False),
        (counted(label=1), "Labels in doubt.", False),
        (counted(two_labels=1), "Labels in doubt.", False),
        (counted(blurred=1), "No label in doubt.", True),
        (counted(shortcut=1), "A shortcut.", False),
        (calibrated(0.049), "Probabilities mean what they say.", True),
        (calibrated(0.05), "Probabilities are rough.", False),
        (
            lambda material: material.about["fine_tuning"].update(stopped="interrupted"),
            "Stopped early.",
            False,
        ),
    ],
)
def test_a_reason_to_trust_or_to_take_care(change: Change, title: str, fine: bool) -> None:
    material = full_material()
    change(material)
    assert checks(material)[title] == fine


def test_a_leak_that_only_the_check_up_found() -> None:
    material = full_material()
    material.extra["leaks"], material.checkup["counts"] = 0, {"leak": 3}
    assert not checks(material)["Copies across the split."]


def test_the_verdict() -> None:
    fine = Material({"class_names": ["a", "b"]}, {"test": figures(970, 1000)}, {"leaks": 0})
    assert "Yes, for images like these" in words(fine)
    fine.extra["leaks"] = 2
    said = words(fine)
    assert "Take it with care: 1 point below needs a look." in said
    assert "2 images have a copy on another side of it" in said


@pytest.mark.parametrize(("labels", "said"), [(65, False), (66, True)])
def test_many_labels_in_doubt_say_something_of_the_classifier(labels: int, said: bool) -> None:
    material = full_material()
    material.checkup["counts"]["label"] = labels  # of 1,300 images
    assert ("So many may well say that classes look alike" in words(material)) == said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (0.06, 0.02, "Before it was 6.0: the temperature 1.30, found on other images, sets the"),
        (0.021, 0.02, "found on other images, changes little. No answer changes by that."),
        (None, 0.02, "stated and true differ by 2.0 points on average.On the broken line"),
    ],
)
def test_what_the_temperature_did(before: float | None, after: float, said: str) -> None:
    material = full_material()
    found = material.metrics["trust"]["calibration"]
    found["after"] = {**found["after"], "calibration_error": after}
    found["before"] = before and {**found["before"], "calibration_error": before}
    assert said in words(material)


def test_the_cost_of_not_answering() -> None:
    said = words(full_material())
    assert "Leaving the 20% that are less than 60% sure to a person, 97.0% of the others" in said


def test_answers_may_be_counted_instead_of_shared() -> None:
    material = full_material()
    for row in material.metrics["trust"]["abstaining"]:
        row["answered"] *= 300
    assert "Leaving the 20% that are less than 60% sure" in words(material)


def test_labels_that_were_not_judged_are_not_called_right() -> None:
    material = full_material()
    material.checkup.update(counts={}, findings=[])
    assert "No label in doubt." in words(material)
    material.checkup["seconds"] = {"total": 0.1, "looks": 0.0}
    said = words(material)
    assert "in doubt" not in said
    assert "There was no time to judge labels and to look at every image." in said


def test_large_sets_are_told_together() -> None:
    material = full_material()
    material.metrics["trust"]["sets"]["sizes"] = {str(size): 1 for size in range(500)}
    said = words(material)
    assert "6 classes or more494" in said
    assert "7 classes" not in said


def test_advice_is_told_once_where_it_is_the_same() -> None:
    material = full_material()
    finding = material.checkup["findings"][0]
    material.checkup["findings"] = [finding, {**finding, "evidence": "fox is 90% likely"}]
    assert words(material).count("look at it") == 1
    material.checkup["findings"][1]["advice"] = "drop it"
    said = words(material)
    assert (said.count("look at it"), said.count("drop it")) == (1, 1)


@pytest.mark.parametrize(
    ("tuning", "said"),
    [
        (None, "Fine-tuningnone: all of the backbone stays frozen"),
        ({"stopped": "time limit"}, "none: all of the backbone stays frozentime limit"),
        ({"epochs": 3, "share": 0}, "it was tried and is not better on validation"),
        (
            {"epochs": 3, "share": 1, "moved": ["a"], "depth": "b"},
            "1 layer learned, from b on",
        ),
    ],
)
def test_why_so_deep(tuning: dict[str, Any] | None, said: str) -> None:
    material = full_material()
    material.about["fine_tuning"] = tuning
    assert said in words(material)


def test_long_trainings_are_thinned() -> None:
    material = full_material()
    tuning = material.about["fine_tuning"]
    tuning["history"] = tuning["history"] * 5_000
    assert page(material).count('<th class="number" scope="row">') < 1_000


def test_what_happens_where_no_image_is_wrong() -> None:
    material = full_material()
    material.extra["worst"] = []
    assert "No test image was named wrong." in words(material)


def test_a_recipe_of_another_version_is_shown_as_it_is() -> None:
    material = full_material()
    material.about["recipe"]["flavour"] = "vanilla"
    assert '"flavour": "vanilla"' in words(material)


def test_the_names_of_all_classes_stand_at_the_top() -> None:
    assert f"It tells apart 3 classes: {', '.join(NAMES)}." in words(full_material())
    many = tuple(f"c{number}" for number in range(20))
    assert "c7 and 12 more." in words(full_material(many))
