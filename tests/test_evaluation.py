from __future__ import annotations

import json
import re

import numpy as np
import pytest
from sklearn import metrics as reference

from headstart.errors import HeadstartError
from headstart.evaluation import Evaluation, evaluate, summary
from headstart.metrics import Probabilities, Rows

NAMES = ("ants", "bees", "crabs")
# Rows: true class, its answer, how often. One class without images, one never answered.
ANSWERS = [(0, 0, 6), (0, 1, 2), (1, 1, 8), (1, 0, 3), (2, 1, 1)]


def make_answers(
    counts: list[tuple[int, int, int]] = ANSWERS, classes: int = 3, sure: float = 0.8
) -> tuple[Probabilities, Rows]:
    """Probabilities whose answers are those in `counts`, each stated with `sure`."""
    true, answer, times = np.array(counts).T
    labels, predicted = np.repeat(true, times), np.repeat(answer, times)
    probabilities = np.full((len(labels), classes), (1 - sure) / (classes - 1))
    probabilities[np.arange(len(labels)), predicted] = sure
    return probabilities, labels


@pytest.fixture
def evaluation() -> Evaluation:
    return evaluate(*make_answers(), NAMES)


@pytest.fixture
def nothing() -> Evaluation:
    empty = np.empty(0, np.int64)
    return evaluate(np.empty((0, 3), np.float32), empty, NAMES, train_labels=np.array([2, 2, 1]))


def test_figures(evaluation: Evaluation) -> None:
    probabilities, labels = make_answers()
    predicted = probabilities.argmax(axis=1)
    assert evaluation.images == 20
    assert evaluation.accuracy == pytest.approx(14 / 20)
    assert (evaluation.low, evaluation.high) == pytest.approx((0.481, 0.855), abs=1e-3)
    assert evaluation.balanced_accuracy == pytest.approx((6 / 8 + 8 / 11 + 0) / 3)
    f1 = reference.f1_score(labels, predicted, average="macro")
    assert evaluation.macro_f1 == pytest.approx(f1)
    assert evaluation.log_loss == pytest.approx(-(14 * np.log(0.8) + 6 * np.log(0.1)) / 20)
    assert evaluation.calibration_error == pytest.approx(0.1)
    assert evaluation.confusion.tolist() == [[6, 2, 0], [3, 8, 0], [0, 1, 0]]


def test_classes(evaluation: Evaluation) -> None:
    ants, bees, crabs = evaluation.classes
    assert (ants.name, ants.images) == ("ants", 8)
    assert (ants.precision, ants.recall) == pytest.approx((6 / 9, 6 / 8))
    assert ants.f1 == pytest.approx(2 * 6 / 17)
    assert (ants.recall_low, ants.recall_high) == pytest.approx((0.409, 0.929), abs=1e-3)
    assert bees.precision == pytest.approx(8 / 11)
    assert (crabs.precision, crabs.recall, crabs.f1) == (None, 0.0, 0.0)


def test_a_class_without_images() -> None:
    result = evaluate(*make_answers([(0, 0, 3), (0, 2, 1)]), NAMES)
    bees, crabs = result.classes[1:]
    assert (bees.images, bees.precision, bees.recall, bees.f1) == (0, None, None, None)
    assert (bees.recall_low, bees.recall_high) == (None, None)
    assert (crabs.precision, crabs.recall) == (0.0, None)
    assert result.balanced_accuracy == pytest.approx(0.75)  # of the one class that has images
    assert result.macro_f1 == pytest.approx(6 / 7)
    assert "bees" not in str(result)


@pytest.mark.parametrize(
    ("train_labels", "name", "accuracy"),
    [
        ([0, 0, 1], "ants", 8 / 20),
        ([2], "crabs", 1 / 20),
        (None, "bees", 11 / 20),
        ([], "bees", 0.55),
    ],
)
def test_the_baseline_is_chosen_on_the_training_part(
    train_labels: list[int] | None, name: str, accuracy: float
) -> None:
    rows = None if train_labels is None else np.array(train_labels, np.int64)
    result = evaluate(*make_answers(), NAMES, train_labels=rows)
    assert result.baseline_class == name
    assert result.baseline == pytest.approx(accuracy)


def test_confusions_most_frequent_first(evaluation: Evaluation) -> None:
    assert evaluation.confusions() == [
        ("bees", "ants", 3),
        ("ants", "bees", 2),
        ("crabs", "bees", 1),
    ]
    ties = evaluate(*make_answers([(2, 1, 2), (0, 2, 2), (0, 1, 2), (1, 1, 9)]), NAMES)
    assert [one[:2] for one in ties.confusions()] == [
        ("ants", "bees"),
        ("ants", "crabs"),
        ("crabs", "bees"),
    ]


def test_the_dictionary_is_json(evaluation: Evaluation) -> None:
    values = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert values["images"] == 20
    assert values["accuracy"] == pytest.approx(0.7)
    assert values["confusion"] == evaluation.confusion.tolist()
    assert values["confusions"] == [["bees", "ants", 3], ["ants", "bees", 2], ["crabs", "bees", 1]]
    assert values["classes"][2]["precision"] is None
    assert {"low", "high", "balanced_accuracy", "macro_f1", "log_loss", "baseline"} <= set(values)


def test_without_images(nothing: Evaluation) -> None:
    values = json.loads(json.dumps(nothing.to_dict(), allow_nan=False))
    assert values["images"] == 0
    assert values["baseline_class"] == "crabs"
    for name in ("accuracy", "low", "high", "log_loss", "calibration_error", "baseline"):
        assert values[name] is None
    assert nothing.confusions() == []
    assert summary(nothing) == "There are no images to test on."


def test_summary(evaluation: Evaluation) -> None:
    assert str(evaluation) == summary(evaluation)
    assert summary(evaluation).splitlines() == [
        "Test accuracy 0.700 (95% interval 0.481 to 0.855): 14 of 20 images right.",
        "Always answering 'bees' would give 0.550.",
        "Balanced accuracy 0.492 (0.361 to 0.893), macro F1 0.478 (0.337 to 0.890),",
        "log loss 0.847 (0.431 to 1.263), calibration error 0.100 (0.000 to 0.300).",
        "",
        "class  images  precision  recall  (95% interval)      F1",
        "ants        8      0.667   0.750  0.409 to 0.929   0.706",
        "bees       11      0.727   0.727  0.434 to 0.903   0.727",
        "crabs       1          -   0.000  0.000 to 0.793   0.000",
        "",
        "Most frequent confusions: bees taken for ants 3x, ants taken for bees 2x, "
        "crabs taken for bees 1x.",
    ]


def test_summary_where_all_is_right() -> None:
    text = summary(evaluate(*make_answers([(0, 0, 1), (1, 1, 1)]), NAMES))
    assert "2 of 2 images right" in text
    assert "confusions" not in text


def test_summary_of_many_classes_shows_the_worst() -> None:
    counts = [(label, label, 3) for label in range(100)]
    counts += [(label, 99, 1) for label in range(5, 15)]
    text = summary(evaluate(*make_answers(counts, 100), [f"class {i:02}" for i in range(100)]))
    rows = re.findall(r"^class (\d\d) ", text, re.MULTILINE)
    assert rows == [f"{i:02}" for i in [*range(5, 15), *range(5), *range(15, 20)]]
    assert "... and 80 classes with a higher recall." in text
    assert text.count(" taken for ") == 5


@pytest.mark.parametrize("name", ["x" * 1000, "a\nb\r\x1b[2J", "bad \udcff", "\u202eturned"])
def test_summary_with_a_hostile_name(name: str) -> None:
    result = evaluate(*make_answers([(0, 0, 9), (1, 0, 2), (1, 1, 3)]), [name, "bees", "crabs"])
    lines = summary(result).splitlines()
    assert len(lines) == 10
    assert max(map(len, lines)) < 120
    assert "".join(lines).isprintable()


def test_ten_thousand_classes() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random((50, 10_000), np.float32)
    labels = rng.integers(0, 10_000, 50)
    result = evaluate(probabilities, labels, [str(number) for number in range(10_000)])
    values = result.to_dict()
    assert values["confusion"] is None  # 100 million numbers
    assert len(values["confusions"]) == len(
        {*zip(labels, probabilities.argmax(axis=1), strict=True)}
    )
    assert result.pairs.nbytes < 10_000
    assert "0 of 50 images right" in summary(result)


@pytest.mark.parametrize("shape", [(4, 3), (5, 2), (5,), (5, 3, 1)])
def test_shapes_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        HeadstartError, match=r"do not fit 5 labels and 3 classes\. Expected \(5, 3\)"
    ):
        evaluate(np.zeros(shape), np.zeros(5, np.int64), NAMES)
