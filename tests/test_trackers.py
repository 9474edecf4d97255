"""Runs told to TensorBoard and MLflow, read back with their own readers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from command_line import run_command
from tiny_run import SIDE, trained

from headstart import trackers
from headstart.errors import HeadstartError, MissingExtra
from headstart.run import Run
from headstart.trackers import Tracker, track

HISTORY = [
    {"train_loss": 0.9, "validation_loss": 0.8, "validation_accuracy": 0.5, "seconds": 1.0},
    {"train_loss": 0.7, "validation_loss": 0.6, "validation_accuracy": 0.75, "seconds": 1.0},
]


def tuned() -> Run:
    """A run that says it was fine-tuned for two epochs."""
    return replace(trained().run, fine_tuning={"history": HISTORY, "stopped": "epochs"})


def read_events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (place,) = folder.iterdir()
    found = EventAccumulator(str(place))
    found.Reload()
    return found


def test_tensorboard_shows_epochs_figures_and_recipe(tmp_path: Path) -> None:
    said = track(tuned(), f"tensorboard:{tmp_path / 'logs'}")
    assert said.endswith(f"see it with: tensorboard --logdir {tmp_path / 'logs'}")
    events = read_events(tmp_path / "logs")
    losses = events.Scalars("fine-tune/validation_loss")
    assert [(one.step, round(one.value, 6)) for one in losses] == [(1, 0.8), (2, 0.6)]
    (accuracy,) = events.Scalars("test/accuracy")
    assert accuracy.value == pytest.approx(trained().run.evaluation.accuracy)
    (recipe,) = events.Tensors("recipe")
    assert b"backbone = tiny" in recipe.tensor_proto.string_val[0]


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, where nothing is told to MLflow by its variables."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("given", ["", ":mlruns", ":file:mlruns", ":{folder}", "variable"])
def test_mlflow_has_parameters_metrics_and_files(
    plain: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    place = (plain / "mlruns").as_uri()
    if given == "variable":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
    before = {name: text for name, text in os.environ.items() if "MLFLOW" in name}
    Tracker.parse(f"mlflow{given.replace('variable', '').format(folder=place)}").check()
    said = track(tuned(), f"mlflow{given.replace('variable', '').format(folder=place)}")
    assert {name: text for name, text in os.environ.items() if "MLFLOW" in name} == before
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient(place)
    run = client.get_run(said.split()[1])
    assert run.info.run_name == "photos"
    assert run.data.params["backbone"] == "tiny"
    assert run.data.params["tuning.batch_size"] == "32"
    accuracy = trained().run.evaluation.accuracy
    assert run.data.metrics["test/accuracy"] == pytest.approx(accuracy)
    history = client.get_metric_history(run.info.run_id, "fine-tune/validation_accuracy")
    assert [(one.step, one.value) for one in history] == [(1, 0.5), (2, 0.75)]
    files = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert files == {"report.html", "recipe.toml", "metrics.json", "checkup.json"}


def test_a_run_without_bundle_or_epochs(tmp_path: Path) -> None:
    track(replace(trained().run, bundle=None), f"tensorboard:{tmp_path / 'logs'}")
    assert "fine-tune/validation_loss" not in read_events(tmp_path / "logs").Tags()["scalars"]


def test_hostile_names_stay_in_the_folder(tmp_path: Path) -> None:
    run = trained().run
    contents = replace(run.contents, data={**run.contents.data, "name": "../../evil"})
    track(replace(run, contents=contents), f"tensorboard:{tmp_path / 'logs'}")
    (place,) = (tmp_path / "logs").iterdir()
    assert place.name.startswith("evil-")


@pytest.mark.parametrize("text", ["wandb", "", "Tensorboard", ":runs"])
def test_another_tracker(text: str) -> None:
    with pytest.raises(HeadstartError, match=r"no tracker '.*'\. Expected one of: tensorboard, ml"):
        Tracker.parse(text)


@pytest.mark.parametrize("kind", trackers.TRACKERS)
def test_without_its_package(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == kind:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(MissingExtra, match=rf"pip install \"headstart\[{kind}\]\""):
        track(trained().run, kind)


class Mlflow(BaseHTTPRequestHandler):
    """As much of an MLflow server as a run needs; `asked` holds what was posted, by its path."""

    asked: ClassVar[dict[str, Any]] = {}
    folder = ""

    def do_POST(self) -> None:
        name = self.path.removeprefix("/api/2.0/mlflow/")
        if size := int(self.headers.get("Content-Length", 0)):
            self.asked[name] = json.loads(self.rfile.read(size))
        info = {"run_id": "abc", "run_uuid": "abc", "experiment_id": "0", "status": "RUNNING"}
        info |= {"artifact_uri": self.folder, "lifecycle_stage": "active"}
        body = json.dumps({"run": {"info": info}, "run_info": info}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 # as the handler calls it

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_is_told_and_nothing_is_printed(
    plain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Mlflow, "folder", (plain / "artifacts").as_uri())
    with ThreadingHTTPServer(("127.0.0.1", 0), Mlflow) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            place = f"http://127.0.0.1:{server.server_port}"
            Tracker.parse(f"mlflow:{place}").check()
            assert track(tuned(), f"mlflow:{place}") == f"run abc at {place}"
        finally:
            server.shutdown()
            thread.join()
    assert Mlflow.asked["runs/create"]["run_name"] == "photos"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("tensorboard:file", "file' is a file"),
        ("mlflow:file", "file' is a file"),
        ("mlflow:file:file/below", "file' is a file"),
        ("mlflow:sqlite:///runs.db", "unsupported URI 'sqlite"),
        ("mlflow:http://127.0.0.1:1", "Connection refused"),
    ],
)
def test_a_place_that_cannot_be_written(
    plain: Path, monkeypatch: pytest.MonkeyPatch, place: str, reason: str
) -> None:
    (plain / "file").write_text("")
    monkeypatch.setattr(trackers, "_PATIENT", (0, 1))
    with pytest.raises(HeadstartError, match=r"could not log the run: .*not lost: its bundle is '"):
        track(trained().run, place)
    with pytest.raises(HeadstartError, match=rf"cannot log a run at '.*': .*{reason}.* trained; "):
        Tracker.parse(place).check()


def test_a_server_that_does_not_answer_is_not_waited_for(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection and says nothing; the seconds are those of the user, if given."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"mlflow:http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(trackers, "_QUICK", (0, 1))
        with pytest.raises(HeadstartError, match=r"Read timed out\. \(read timeout=1\)"):
            Tracker.parse(place).check()
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        with pytest.raises(HeadstartError, match=r"Read timed out\. \(read timeout=2\)"):
            Tracker.parse(place).check()


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--backbone", "tiny", "--image-size", SIDE, "--unfreeze", 0, "--json")
    photos = trained().photos
    assert run_command(monkeypatch, "fit", photos, *options, "--track", "tensorboard") == 0
    told = capsys.readouterr()
    json.loads(told.out)
    assert "Logged: runs/photos-" in told.err
    assert read_events(tmp_path / "runs").Scalars("test/accuracy")
    assert run_command(monkeypatch, "fit", photos, *options, "--track", "nothing") == 2
    assert "no tracker 'nothing'" in capsys.readouterr().err
    monkeypatch.setattr("headstart.training.fit", lambda *_, **__: pytest.fail("trained"))
    unreachable = "mlflow:http://127.0.0.1:1"
    assert run_command(monkeypatch, "fit", photos, *options, "--track", unreachable) == 2
    assert "Nothing was trained" in capsys.readouterr().err


def test_nothing_is_reported_to_others() -> None:
    """MLflow tells its makers about its use unless it is told not to."""
    program = "from headstart import trackers\ntrackers._package('mlflow')\nimport os\n"
    program += "print(os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if "MLFLOW" not in name},
    )
    assert done.stdout.strip() == "true"
