from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from headstart import progress


def test_silent_without_a_listener() -> None:
    with progress.stage("quiet", 3) as stage:
        stage.advance(3)
    progress.remark("quiet", "nobody hears this")
    assert stage.done == 3


def test_events_of_a_stage() -> None:
    heard: list[progress.Event] = []
    with progress.listen(heard.append), progress.stage("work", 2) as stage:
        stage.advance()
        stage.advance()
    assert heard[0] == progress.Event("work", 0, 2)
    assert heard[-1] == progress.Event("work", 2, 2, finished=True)


def test_time_left_is_told_by_what_came_after_the_first_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    heard: list[progress.Event] = []
    with progress.listen(heard.append), progress.stage("work", 10) as stage:
        now[0] += 60  # what has to be prepared
        stage.advance()
        now[0] += 2
        stage.advance(4)
    assert [event.seconds_left for event in heard] == [None, None, pytest.approx(2.5), None]


@pytest.mark.parametrize(
    ("total", "passed", "why"), [(0, 2.0, "no length"), (10, 0.4, "too early to tell")]
)
def test_no_time_left_where_it_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch, total: int, passed: float, why: str
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    heard: list[progress.Event] = []
    with progress.listen(heard.append), progress.stage("work", total) as stage:
        stage.advance()
        now[0] += passed
        stage.advance()
    assert (heard[-2].done, heard[-2].seconds_left) == (2, None), why


def test_more_than_the_total_leaves_no_negative_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    heard: list[progress.Event] = []
    with progress.listen(heard.append), progress.stage("work", 3) as stage:
        stage.advance()
        now[0] += 1
        stage.advance(4)
    assert heard[2].seconds_left == 0


def test_events_are_not_a_flood() -> None:
    heard: list[progress.Event] = []
    with progress.listen(heard.append), progress.stage("work", 10_000) as stage:
        for _ in range(10_000):
            stage.advance()
    assert len(heard) < 100


def test_threads_count_together() -> None:
    heard: list[progress.Event] = []
    with (
        progress.listen(heard.append),
        progress.stage("work", 8000) as stage,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda _: stage.advance(), range(8000)))
    assert heard[-1] == progress.Event("work", 8000, 8000, finished=True)
    assert len(heard) > 2


def test_the_inner_listener_hears_and_then_the_outer_again() -> None:
    outer: list[progress.Event] = []
    inner: list[progress.Event] = []
    with progress.listen(outer.append):
        with progress.listen(inner.append):
            progress.remark("a", "in")
        progress.remark("a", "out")
    progress.remark("a", "nobody")
    assert [event.message for event in inner] == ["in"]
    assert [event.message for event in outer] == ["out"]


def test_an_error_ends_the_stage() -> None:
    heard: list[progress.Event] = []
    with pytest.raises(RuntimeError), progress.listen(heard.append), progress.stage("work", 10):
        raise RuntimeError
    assert heard[-1].finished


def test_remark() -> None:
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        progress.remark("cache", "was damaged")
    assert heard == [progress.Event("cache", message="was damaged")]


def test_figures() -> None:
    heard: list[progress.Event] = []
    progress.tell_figures("work", {"loss": 1.0})  # nobody listens
    with progress.listen(heard.append):
        progress.tell_figures("work", {"epoch": 1, "loss": 0.5})
    assert heard == [progress.Event("work", figures={"epoch": 1, "loss": 0.5})]
