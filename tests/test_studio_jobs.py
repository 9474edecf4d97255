"""Jobs in processes of their own: followed, cancelled, found again, and how their end is told."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import studio_worker

from headstart.studio import jobs
from headstart.studio.claim import hold, is_held
from headstart.studio.index import NotThere
from headstart.studio.jobs import Jobs
from headstart.studio.place import Place, open_place
from headstart.studio.project import Conflict
from headstart.studio.record import Record, read_record


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(jobs, "WORKER", (studio_worker.__file__,))
    return open_place(tmp_path)


@contextmanager
def _jobs(place: Place, told: list[str] | None = None) -> Iterator[Jobs]:
    heard = [] if told is None else told
    with closing(Jobs(place, lambda record: heard.append(record.state))) as found:
        yield found


def _wait(good: Callable[[], object], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < until
        time.sleep(0.02)


def _ended(record: Record) -> Record:
    _wait(lambda: record.state != "running")
    return record


def _works(record: Record) -> bool:
    return "second" in record.stages


ENDS = (
    ("end", "done", None),
    ("fail", "failed", "Too little. Expected more. Add some."),
    ("defect", "failed", "RuntimeError: broken (studio_worker.py, line "),
    ("die", "interrupted", "It ended before it was done"),
)


@pytest.mark.parametrize(("how", "state", "error"), ENDS)
def test_how_a_job_ends(place: Place, how: str, state: str, error: str | None) -> None:
    told: list[str] = []
    with _jobs(place, told) as found:
        values = _ended(found.start("train", {"how": how})).to_dict()
        _wait(lambda: state in told)
    assert values["state"] == state
    assert (values["error"] or "").startswith(error or "")
    assert (values["error"] is None) == (error is None)
    assert values["stages"][0] == {"name": "first", "done": 2, "total": 2, "finished": True}
    assert [(one["attempt"], one["epoch"]) for one in values["curve"]] == [(1, 1), (1, 2), (2, 1)]
    assert values["remarks"] == ["second: a remark"]
    assert values["model"] == ("7" if how == "end" else None)
    log = (place.jobs / values["id"] / "log.txt").read_text()
    assert ("Traceback" in log) == (how == "defect")


@pytest.mark.parametrize(("how", "model"), [("keep", "7"), ("lose", None)])
def test_cancel_keeps_what_there_is(place: Place, how: str, model: str | None) -> None:
    with _jobs(place) as found:
        record = found.start("train", {"how": how})
        _wait(lambda: _works(record))
        assert found.cancel(record.id).to_dict()["cancelling"]
        values = _ended(record).to_dict()
        with pytest.raises(NotThere, match="has ended"):
            found.cancel(record.id)
    assert (values["state"], values["model"], values["error"]) == ("cancelled", model, None)


@pytest.mark.parametrize("by", ["asking twice", "time"])
def test_what_does_not_listen_is_ended(
    place: Place, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(jobs, "GRACE", 0.2 if by == "time" else 60)
    with _jobs(place) as found:
        record = found.start("train", {"how": "deaf"})
        _wait(lambda: _works(record))
        for _ in range(1 if by == "time" else 2):
            found.cancel(record.id)
            time.sleep(0.1)
        assert _ended(record).to_dict()["state"] == "cancelled"


def test_one_of_a_kind_at_a_time(place: Place) -> None:
    with _jobs(place) as found:
        first = found.start("train", {"how": "lose"})
        with pytest.raises(Conflict, match="A training is running already"):
            found.start("train", {"how": "end"})
        assert _ended(found.start("checkup", {"how": "end"})).state == "done"
        _wait(lambda: _works(first))
        found.cancel(first.id)
        _ended(first)
        assert _ended(found.start("train", {"how": "end"})).state == "done"


def test_a_job_outlives_the_server_and_is_found_again(place: Place) -> None:
    with _jobs(place) as found:
        first = found.start("train", {"how": "wait"})
        (first.folder / "wait").touch()
        _wait(lambda: _works(first))
        process = found._processes[first.id]
    with _jobs(place) as found:
        record = found.running("train")
        assert record is not None
        assert record.to_dict()["stages"] == first.to_dict()["stages"]
        assert record.to_dict()["curve"] == first.to_dict()["curve"]
        with pytest.raises(Conflict):
            found.start("train", {"how": "end"})
        found.cancel(record.id)
        assert _ended(record).state == "cancelled"
    process.wait(10)
    with _jobs(place) as found:
        assert found.get(first.id).state == "cancelled"


def test_an_end_without_a_server_is_found(place: Place) -> None:
    with _jobs(place) as found:
        record = found.start("train", {"how": "end"})
        process = found._processes[record.id]
    process.wait(10)
    with _jobs(place) as found:
        newest = found.newest("train")
        assert newest is not None
        assert (newest.state, newest.to_dict()["model"]) == ("done", "7")


def test_a_killed_job_is_interrupted(place: Place) -> None:
    with _jobs(place) as found:
        record = found.start("train", {"how": "lose"})
        _wait(lambda: _works(record))
        os.kill(json.loads((record.folder / "process.json").read_text())["process"], signal.SIGKILL)
        assert _ended(record).state == "interrupted"
    assert read_record(record.folder).state == "interrupted"  # type: ignore[union-attr]


def test_a_number_of_another_process_is_no_job(place: Place) -> None:
    folder = place.jobs / "20260101000000-aaaaaa"
    folder.mkdir()
    (folder / "request.json").write_text(json.dumps({"kind": "train", "made": time.time()}))
    (folder / "process.json").write_text(json.dumps({"process": os.getpid()}))
    with _jobs(place) as found:
        assert found.get(folder.name).state == "interrupted"
        assert found.running("train") is None


def test_the_newest_of_one_second(place: Place) -> None:
    for name, made in (("20260101000000-bbbbbb", 1.25), ("20260101000000-aaaaaa", 1.75)):
        (place.jobs / name).mkdir()
        (place.jobs / name / "request.json").write_text(json.dumps({"kind": "train", "made": made}))
    with _jobs(place) as found:
        newest = found.newest("train")
        assert newest is not None
        assert newest.id == "20260101000000-aaaaaa"


def test_what_is_no_job_is_passed_over(place: Place) -> None:
    for name, text in (("a", "{}"), ("b", "no json"), ("c", '{"kind": "else", "made": 0}')):
        (place.jobs / name).mkdir()
        (place.jobs / name / "request.json").write_text(text)
    with _jobs(place) as found:
        assert found.newest("train") is None
        with pytest.raises(NotThere, match="no such job"):
            found.get("a")


def test_a_process_of_its_own_session(place: Place) -> None:
    with _jobs(place) as found:
        record = found.start("train", {"how": "lose"})
        _wait(lambda: _works(record))
        number = json.loads((record.folder / "process.json").read_text())["process"]
        assert os.getsid(number) == number != os.getsid(0)
        assert os.getpriority(os.PRIO_PROCESS, number) > os.getpriority(os.PRIO_PROCESS, 0)
        found.cancel(record.id)
        _ended(record)


def test_a_claim_is_held_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    descriptor = hold(path)
    assert is_held(path)
    os.close(descriptor)
    assert not is_held(path)
