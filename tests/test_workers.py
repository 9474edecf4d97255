from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from headstart.workers import cpu_count, map_in_order


class Counter:
    """Counts how many calls run at once; a call takes up to two milliseconds."""

    def __init__(self) -> None:
        self.running, self.most, self.lock = 0, 0, threading.Lock()

    def __call__(self, number: int) -> int:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.001 * (number % 3))
        with self.lock:
            self.running -= 1
        return number


def test_ordered_and_bounded() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for number in range(60):
            taken.append(number)
            yield number

    work = Counter()
    results = map_in_order(work, source(), threads=3, ahead=5)
    assert next(results) == 0
    assert len(taken) <= 6
    assert list(results) == list(range(1, 60))
    assert work.most == 3


def test_stops_when_closed() -> None:
    done: list[int] = []
    results = map_in_order(done.append, range(1000), threads=2, ahead=8)
    next(results)
    results.close()
    assert len(done) < 20


def test_an_error_comes_in_its_place_and_ends_the_threads() -> None:
    def work(number: int) -> float:
        return 1 / (number - 5)

    before = threading.active_count()
    results = map_in_order(work, range(1000), threads=2)
    assert [next(results) for _ in range(5)] == [1 / (number - 5) for number in range(5)]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert threading.active_count() == before


def test_nothing_to_do() -> None:
    assert list(map_in_order(str, ())) == []


def test_cpu_count_is_what_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 5, 7}, raising=False)
    assert cpu_count() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert cpu_count() == 1
