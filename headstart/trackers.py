"""A finished run told to TensorBoard or MLflow: choices, figures, epochs, and the report.

Nothing is logged anywhere unless it is asked for. A run that is saved already is not lost where its
tracker cannot be reached.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.extras import require
from headstart.run import Run

TRACKERS = ("tensorboard", "mlflow")
_FOLDER = "runs"  # where TensorBoard's files go, as its own tools have it
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
            `runs`, or what `MLFLOW_TRACKING_URI` says.
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
        raise HeadstartError(
            f"{chosen.kind} could not log the run: {' '.join(str(error).split())[:300]}. Expected "
            "a place that can be reached and written. The run itself is not lost; check "
            f"'{chosen.place or 'the usual place'}'."
        ) from error


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


def _log_to_mlflow(run: Run, place: str) -> str:
    mlflow = _package("mlflow")
    if place:
        mlflow.set_tracking_uri(place)
    with mlflow.start_run(run_name=_name(run)) as active:
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
