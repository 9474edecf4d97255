"""Write the classifier as a `.keras` file, a SavedModel or a LiteRT file, by TensorFlow."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.exporting.result import INPUT, OUTPUT
from headstart.frameworks import without_retracing_remarks, without_stderr
from headstart.images import Pixels
from headstart.scan import printable

ABOUT = "about.json"
LABELS = "labels.txt"


def write_keras(model: Any, target: Path, about: Mapping[str, Any]) -> None:
    """Write a `.keras` file; what is said of it lies inside as about.json, which Keras skips."""
    model.save(target)
    _add_about(target, about)


def write_saved_model(model: Any, target: Path, about: Mapping[str, Any]) -> None:
    """Write a SavedModel with the signatures `serving_default` and `labels`."""
    import tensorflow

    @tensorflow.function(input_signature=[])  # type: ignore[untyped-decorator]
    def labels() -> dict[str, Any]:
        return {"labels": tensorflow.constant(list(about["labels"]))}

    module = tensorflow.Module()
    module.model = model
    serving = _function(model)
    signatures = {"serving_default": serving, "labels": labels}
    with quiet("TensorFlow"):
        tensorflow.saved_model.save(module, str(target), signatures=signatures)
    extra = target / "assets.extra"  # where TensorFlow leaves room for files of others
    extra.mkdir()
    (extra / ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")


def write_litert(
    model: Any, target: Path, about: Mapping[str, Any], calibration: Sequence[Pixels] = ()
) -> None:
    """Write a LiteRT file of built-in operations alone.

    Args:
        model: The classifier in Keras.
        target: The .tflite file.
        about: What is said of it; it lies inside as about.json, with the classes in labels.txt.
        calibration: Images that the ranges of 8-bit numbers are found with; none keeps float32.
    """
    import tensorflow

    def samples() -> Iterator[dict[str, Any]]:
        for image in calibration:
            yield {INPUT: image[None]}

    with quiet("LiteRT"):
        module = tensorflow.Module()
        module.call = frozen_function(model)
        concrete = module.call.get_concrete_function()
        converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([concrete], module)
        converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS]
        converter.allow_custom_ops = False
        if calibration:
            converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
            converter.representative_dataset = samples
        target.write_bytes(converter.convert())
    _add_about(target, about)


def frozen_function(model: Any) -> Any:
    """The classifier as a function of TensorFlow whose weights are constants."""
    import tensorflow
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    frozen = convert_variables_to_constants_v2(_function(model).get_concrete_function())
    return tensorflow.function(
        lambda images: {OUTPUT: frozen(images)[0]}, input_signature=input_signature(model)
    )


def input_signature(model: Any) -> list[Any]:
    """What goes into the classifier, for TensorFlow."""
    import tensorflow

    shape = (None, *model.inputs[0].shape[1:])
    return [tensorflow.TensorSpec(shape, tensorflow.uint8, name=INPUT)]


def _function(model: Any) -> Any:
    import tensorflow

    return tensorflow.function(
        lambda images: {OUTPUT: model(images, training=False)},
        input_signature=input_signature(model),
    )


def _add_about(target: Path, about: Mapping[str, Any]) -> None:
    """Put what is said of a model into its file: both kinds may have a zip archive at their end."""
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(ABOUT, json.dumps(about, indent=2))
        archive.writestr(LABELS, "".join(f"{printable(name)}\n" for name in about["labels"]))


@contextmanager
def quiet(runtime: str) -> Iterator[None]:
    """Keep converters from writing to stderr, and tell what they cannot do in one line.

    Raises:
        HeadstartError: Something inside the block fails.
    """
    try:
        with without_stderr(), without_retracing_remarks(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (HeadstartError, OSError, MemoryError):
        raise
    except Exception as error:  # converters raise kinds of their own
        raise cannot_convert(runtime, error) from error


def cannot_convert(runtime: str, error: Exception) -> HeadstartError:
    """Say that a network cannot be exported, and why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = (lines[0] if lines else type(error).__name__)[:300].rstrip(".")
    return HeadstartError(
        f"The network cannot be written for {runtime}: {why}. Expected operations that {runtime} "
        "has. Export to another format."
    )
