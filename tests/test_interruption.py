"""Ctrl-C: the first is a wish, the second is as usual."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from headstart.interruption import noticed

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of Unix")


@pytest.fixture(autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """A shell that starts `make test &` leaves Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_the_first_is_noted_and_the_second_ends() -> None:
    with noticed() as asked:
        assert not asked()
        press()
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            press()
        assert asked()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("times", [0, 1])
def test_afterwards_it_is_as_before(times: int) -> None:
    with noticed():
        for _ in range(times):
            press()
    with pytest.raises(KeyboardInterrupt):
        press()


def test_also_after_an_error() -> None:
    with pytest.raises(RuntimeError), noticed():
        raise RuntimeError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_each_block_has_its_own() -> None:
    with noticed() as first:
        press()
    with noticed() as second:
        assert first()
        assert not second()


def test_where_something_else_handles_it_nothing_changes() -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: got.append(number))
    try:
        with noticed() as asked:
            press()
            assert not asked()
        assert got == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_changes() -> None:
    answers: list[bool] = []

    def work() -> None:
        with noticed() as asked:
            answers.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
