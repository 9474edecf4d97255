"""A finished run told to TensorBoard or MLflow: choices, figures, epochs, and the report.

Nothing is logged anywhere unless it is asked for. A run that is saved already is not lost where its
tracker cannot be reached.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from headstart.errors import HeadstartError
from headstart.extras import require
from headstart.run import Run

TRACKERS = ("tensorboard", "mlflow")
_FOLDER = "runs"  # where TensorBoard's files go, as its own tools have it
_MLRUNS = "mlruns"  # where MLflow's files go, as its own tools have it
_QUICK = (1, 10)  # how often a server is asked again before training, and seconds for an answer
_PATIENT = (3, 30)  # the same once there is a run to log
_PARTS = ("test", "validation", "train")
_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "calibration_error")
_LONGEST = 6000  # characters of a parameter that MLflow takes
_ARTIFACTS = ("report.html", "recipe.toml", "metrics.json", "checkup.json")


@dataclass(frozen=True)
class Tracker:
    """Where a run is told.

    Attributes:
        kind: One of `TRACKERS`.
        place: A folder for TensorBoard, an address or folder for MLflow; "" is the usual one:
            `runs`, or what `MLFLOW_TRACKING_URI` says, or `mlruns`.
    """

    kind: str
    place: str = ""

    @classmethod
    def parse(cls, text: str) -> Tracker:
        """Read `KIND` or `KIND:PLACE`, and make sure that its package is installed.

        Raises:
            HeadstartError: Another kind.
            MissingExtra: The package is not installed.
        """
        kind, _, place = text.partition(":")
        if kind not in TRACKERS:
            raise HeadstartError(
                f"There is no tracker '{kind}'. Expected one of: {', '.join(TRACKERS)}, with a "
                "place after a colon if wanted, such as tensorboard:runs. Choose one of these."
            )
        tracker = cls(kind, place)
        _package(kind)
        return tracker

    def check(self) -> None:
        """Make sure that the place can be reached and written, before any long work.

        Raises:
            HeadstartError: It cannot.
        """
        try:
            if self.kind == "mlflow":
                with _mlflow_at(self.place, _QUICK) as mlflow:
                    mlflow.search_experiments(max_results=1)
            else:
                _check_folder(Path(self.place or _FOLDER))
        except Exception as error:  # whatever a server or a database client may raise
            raise HeadstartError(
                f"{self.kind} cannot log a run at '{self._shown}': {_line(error)}. Expected a "
                "place that can be reached and written. Nothing was trained; choose another place "
                f"with --track {self.kind}:PLACE."
            ) from error

    @property
    def _shown(self) -> str:
        return self.place or "the usual place"


def _package(kind: str) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before it is imported
    module = "mlflow" if kind == "mlflow" else "tensorboard.summary.writer.event_file_writer"
    return require(module, kind, f"tracking with {kind}")


def track(run: Run, tracker: str | Tracker) -> str:
    """Tell a tracker about a run.

    Args:
        run: What `fit` gave; with a bundle, its report and recipe are told as well.
        tracker: `tensorboard` or `mlflow`, with a place after a colon if wanted.

    Returns:
        Where it was logged, for people.

    Raises:
        HeadstartError: Another tracker, or one that cannot be written or reached.
        MissingExtra: Its package is not installed.
    """
    chosen = Tracker.parse(tracker) if isinstance(tracker, str) else tracker
    log = _log_to_mlflow if chosen.kind == "mlflow" else _log_to_tensorboard
    try:
        return log(run, chosen.place)
    except HeadstartError:
        raise
    except Exception as error:  # whatever a server or a database client may raise
        kept = "" if run.bundle is None else f": its bundle is '{run.bundle}'"
        raise HeadstartError(
            f"{chosen.kind} could not log the run: {_line(error)}. Expected a place that can be "
            f"reached and written. The run itself is not lost{kept}; check '{chosen._shown}'."
        ) from error


def _line(error: Exception) -> str:
    """What an error says, on one line; of a long one the end, too, where the cause stands."""
    text = " ".join(str(error).split())
    text = text if len(text) < 400 else f"{text[:180]} ... {text[-180:]}"
    return text.rstrip(".")


def _check_folder(folder: Path) -> None:
    """Raise OSError where files cannot be written to a folder that may not be there yet."""
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"'{there}' is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"no permission to write to '{there}'")


def _name(run: Run) -> str:
    return str(run.contents.data.get("name", "run"))


def _parameters(run: Run) -> dict[str, str]:
    """Every choice as a flat name and text."""
    found = dict(_flat(run.recipe.to_dict()))
    found |= {f"images.{part}": str(count) for part, count in run.images.items()}
    found["classes"] = str(len(run.classifier.class_names))
    found["data.fingerprint"] = str(run.contents.data.get("fingerprint", ""))
    return found


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value if isinstance(value, str) else json.dumps(value)


def _figures(run: Run) -> dict[str, float]:
    """The figures of the whole run, those that there are."""
    found: dict[str, float | None] = {}
    for part, evaluation in zip(_PARTS, (run.evaluation, run.validation, run.train), strict=True):
        found |= {f"{part}/{name}": getattr(evaluation, name) for name in _FIGURES}
    found |= {"test/low": run.evaluation.low, "test/high": run.evaluation.high}
    found |= {f"seconds/{name}": value for name, value in run.seconds.items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def _epochs(run: Run) -> Iterator[tuple[int, dict[str, float]]]:
    """What each epoch of fine-tuning gave, from 1."""
    for number, epoch in enumerate((run.fine_tuning or {}).get("history") or (), start=1):
        yield number, {f"fine-tune/{name}": float(value) for name, value in epoch.items()}


@contextmanager
def _mlflow_at(place: str, patience: tuple[int, int]) -> Iterator[Any]:
    """MLflow for a place, which waits minutes for a server if it is not told otherwise.

    A folder is written only where `MLFLOW_ALLOW_FILE_STORE` says so, and is all that the package of
    the extra can write to without a server. What the user's environment says comes first, and it is
    left as it was.
    """
    mlflow = _package("mlflow")
    given = {name: text for name, text in os.environ.items() if name.startswith("MLFLOW_")}
    chosen = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    uri = place or chosen or Path(_MLRUNS).absolute().as_uri()
    try:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(patience[0]))
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(patience[1]))
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        folder = _folder_of(uri)
        if folder is not None:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            _check_folder(folder)
        mlflow.set_tracking_uri(uri)
        yield mlflow
    finally:
        mlflow.set_tracking_uri(None)
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            del os.environ[name]
        os.environ.update(given)
        if chosen is not None and mlflow.get_tracking_uri() != chosen:
            mlflow.set_tracking_uri(chosen)


def _folder_of(uri: str) -> Path | None:
    """The folder that MLflow's files go to, or None for a server or a database."""
    scheme = urlsplit(uri).scheme
    if scheme == "file":
        return Path(url2pathname(urlsplit(uri).path))
    return Path(uri) if len(scheme) < 2 else None  # one letter is a Windows drive


def _log_to_mlflow(run: Run, place: str) -> str:
    with (
        _mlflow_at(place, _PATIENT) as mlflow,
        mlflow.start_run(run_name=_name(run)) as active,
    ):
        mlflow.log_params({name: text[:_LONGEST] for name, text in _parameters(run).items()})
        for step, values in _epochs(run):
            mlflow.log_metrics(values, step=step)
        mlflow.log_metrics(_figures(run))
        if run.bundle is not None:
            for name in _ARTIFACTS:
                if (run.bundle / name).exists():
                    mlflow.log_artifact(str(run.bundle / name))
        return f"run {active.info.run_id} at {mlflow.get_tracking_uri()}"


def _log_to_tensorboard(run: Run, place: str) -> str:
    writers = _package("tensorboard")
    folder = Path(place or _FOLDER) / f"{Path(_name(run)).name}-{time.strftime('%Y%m%d-%H%M%S')}"
    writer = writers.EventFileWriter(str(folder))
    try:
        for step, values in _epochs(run):
            writer.add_event(_scalars(values, step))
        writer.add_event(_scalars(_figures(run), 0))
        rows = "\n".join(f"{name} = {text}" for name, text in sorted(_parameters(run).items()))
        writer.add_event(_text("recipe", rows))
        writer.add_event(_text("result", str(run.evaluation)))
        writer.flush()
    finally:
        writer.close()
    return f"{folder}; see it with: tensorboard --logdir {folder.parent}"


def _scalars(values: Mapping[str, float], step: int) -> Any:
    from tensorboard.compat.proto import event_pb2, summary_pb2

    rows = [summary_pb2.Summary.Value(tag=name, simple_value=one) for name, one in values.items()]
    return event_pb2.Event(
        wall_time=time.time(), step=step, summary=summary_pb2.Summary(value=rows)
    )


def _text(tag: str, text: str) -> Any:
    """Markdown for TensorBoard's text page, where four spaces leave it as it is."""
    from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2

    plain = "\n".join(f"    {line}" for line in text.split("\n"))
    value = summary_pb2.Summary.Value(
        tag=tag,
        metadata=summary_pb2.SummaryMetadata(
            plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="text")
        ),
        tensor=tensor_pb2.TensorProto(
            dtype=types_pb2.DT_STRING, string_val=[plain.encode("utf-8", "backslashreplace")]
        ),
    )
    return event_pb2.Event(wall_time=time.time(), summary=summary_pb2.Summary(value=[value]))
