"""Shortcuts: what tells the classes without looking at what is shown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from headstart.checkup.finding import Finding
from headstart.checkup.looks import FIELDS
from headstart.checkup.shortcuts import shortcut_findings

COUNT = 120
LABELS = np.arange(COUNT) % 3
NAMES = ["cat", "dog", "fox"]


def usual_looks(seed: int = 0) -> npt.NDArray[np.float64]:
    """Numbers that say nothing of the class."""
    rng = np.random.default_rng(seed)
    looks = rng.uniform(0, 1, (COUNT, len(FIELDS)))
    for name, low, high in [("height", 300, 600), ("width", 300, 600), ("bytes", 1e4, 1e5)]:
        looks[:, FIELDS.index(name)] = rng.integers(int(low), int(high), COUNT)
    for name in ("red", "green", "blue"):
        looks[:, FIELDS.index(name)] = rng.uniform(0, 255, COUNT)
    looks[:, FIELDS.index("format")] = rng.integers(0, 2, COUNT)
    looks[:, FIELDS.index("transparent")] = 0
    looks[:, FIELDS.index("camera")] = rng.choice([0, 7, 9], COUNT)
    return looks


def found(looks: npt.NDArray[np.float64], labels: npt.NDArray[np.int64] = LABELS) -> list[Finding]:
    return list(shortcut_findings(looks, labels, np.arange(len(labels)), NAMES, seed=0))


@pytest.mark.parametrize("seed", range(5))
def test_nothing_where_there_is_nothing(seed: int) -> None:
    assert found(usual_looks(seed)) == []


@pytest.mark.parametrize(
    ("field", "values", "evidence"),
    [
        ("camera", [7, 9, 0], "the camera alone tells the classes"),
        ("format", [0, 1, 1], "the file type alone tells the classes"),
        ("bytes", [2e4, 4e4, 8e4], "the size of the file alone tells the classes"),
        ("red", [20, 120, 220], "the mean colour alone tells the classes"),
    ],
)
def test_what_tells_the_classes(field: str, values: list[float], evidence: str) -> None:
    looks = usual_looks()
    looks[:, FIELDS.index(field)] = np.array(values)[LABELS]
    (one,) = found(looks)
    assert one.evidence.startswith(evidence)
    assert "(chance is 0.33)" in one.evidence
    assert one.classes == ("cat", "dog", "fox")
    assert one.files == ()


def test_the_rule_names_the_class() -> None:
    looks = usual_looks()
    looks[:, FIELDS.index("width")] = np.where(LABELS == 2, 1000, 500)
    looks[:, FIELDS.index("height")] = 500
    told = {one.evidence for one in found(looks)}
    assert any("width up to 750 has 100% of cat, above has 100% of fox" in one for one in told)


def test_rows_that_were_not_measured_and_small_classes_have_no_say() -> None:
    looks = usual_looks()
    looks[:, FIELDS.index("camera")] = np.array([7, 9, 0])[LABELS]
    looks[5:] = np.nan
    assert found(looks) == []
    labels = np.zeros(COUNT, np.int64)
    labels[:9] = 1
    assert found(usual_looks(), labels) == []


def test_copies_do_not_make_it_sure() -> None:
    """Two images of each class, copied: a tree that has seen the copy would know the class."""
    labels = np.repeat(np.arange(6) % 2, 20)
    looks = usual_looks()
    for name in ("red", "green", "blue"):
        looks[:, FIELDS.index(name)] = np.repeat([10.0, 60, 110, 160, 210, 250], 20)
    alone = list(shortcut_findings(looks, labels, np.arange(COUNT), NAMES[:2], seed=0))
    copies = list(shortcut_findings(looks, labels, np.arange(COUNT) // 20, NAMES[:2], seed=0))
    assert len(alone) == 1
    assert copies == []
