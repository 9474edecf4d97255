from __future__ import annotations

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


def test_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    heard: list[progress.Event] = []
    with progress.listen(heard.append), progress.stage("work", 10) as stage:
        now[0] += 2
        stage.advance(4)
    assert heard[1].seconds_left == pytest.approx(3.0)


def test_events_are_not_a_flood() -> None:
    heard: list[progress.Event] = []
    with progress.listen(heard.append), progress.stage("work", 10_000) as stage:
        for _ in range(10_000):
            stage.advance()
    assert len(heard) < 100


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
