"""Exactly what should have learned has moved, or an error says which did not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from headstart.errors import HeadstartError
from headstart.finetune.proof import Arrays, prove

BEFORE = {
    "one/0": np.ones((2, 2), np.float32),
    "one/1": np.zeros(2, np.float32),
    "one_bn/0": np.ones(2, np.float32),
    "two/0": np.ones(3, np.float32),
}


def moved(*names: str) -> Arrays:
    after = {name: value.copy() for name, value in BEFORE.items()}
    for name in names:
        after[name].flat[0] = np.nextafter(after[name].flat[0], np.float32(2))
    return after


@pytest.mark.parametrize("names", [["two/0"], ["one/0"], ["one/1", "two/0"], []])
def test_what_moved_and_what_did_not(names: list[str]) -> None:
    learns = [name.rpartition("/")[0] for name in names]
    proof = prove(BEFORE, moved(*names), learns)
    assert proof.moved == tuple(learns)
    assert sorted(proof.moved + proof.frozen) == ["one", "one_bn", "two"]


@pytest.mark.parametrize(
    ("names", "learns", "message"),
    [
        (["two/0"], [], r"Layers that were frozen have changed: two\. Expected them to be bit for"),
        (["one/0", "one_bn/0"], ["one"], r"frozen have changed: one_bn\."),
        (["one/0"], ["one", "two"], r"Layers that were unfrozen have not changed: two\. Expected"),
        ([], ["one", "two"], r"unfrozen have not changed: one, two\."),
    ],
)
def test_what_should_not_be(names: Sequence[str], learns: Sequence[str], message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        prove(BEFORE, moved(*names), learns)


def test_statistics_may_not_change_where_the_layer_learns() -> None:
    assert prove(BEFORE, moved("one/0"), ["one"], {"one/1"}).moved == ("one",)
    with pytest.raises(HeadstartError, match=r"that were frozen have changed: one/1\."):
        prove(BEFORE, moved("one/0", "one/1"), ["one"], {"one/1"})


def test_numbers_that_are_none_count_as_moved() -> None:
    after = {**moved(), "two/0": np.full(3, np.nan, np.float32)}
    assert prove(BEFORE, after, ["two"]).moved == ("two",)
