"""Find where the classifier of a model begins, so that the model can be used without it.

A flat functional model goes in; out come its last feature map (n, h, w, features) and, where the
model has a global pooling of its own, the vector (n, features) behind it. The way back from the
output leads only through what classifiers are made of: Dense, activations, Dropout, normalisation,
Flatten, and convolutions; it ends at the global pooling or else at the first feature map.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from headstart.errors import HeadstartError

_PASSIVE = {  # layers, and operations of keras.ops, without weights that a classifier may have
    *("Activation", "Softmax", "LogSoftmax", "Sigmoid", "ReLU", "Relu", "Relu6", "LeakyReLU"),
    *("PReLU", "ELU", "Silu", "Gelu", "HardSilu", "Dropout", "SpatialDropout2D"),
    *("GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization", "Identity"),
    *("Flatten", "Reshape", "Squeeze", "UnitNormalization", "Cast"),
}
_WEIGHTED = {"Dense", "Conv2D", "BatchNormalization", "LayerNormalization"}
_POOLING = {"GlobalAveragePooling2D", "GlobalMaxPooling2D", "Mean", "Max"}
_SCORES = {"softmax", "log_softmax", "logsoftmax", "sigmoid"}


class Ends(NamedTuple):
    """Where the features of a model are.

    Attributes:
        feature_map: Tensor (n, h, w, features) that everything passes through, or None.
        vector: Tensor behind the model's own global pooling, (n, features) or (n, 1, 1, features);
            None where the map is to be averaged.
    """

    feature_map: Any
    vector: Any


def find_ends(model: Any) -> Ends:
    """Find the features of a flat model with one input and one output.

    Raises:
        HeadstartError: It has no feature map, or what comes after it is no classifier.
    """
    output = model.outputs[0]
    tensor, passed = _back(output, most_dimensions=4)
    pooled = _pooled(tensor)
    if pooled:
        feature_map = pooled[0] if len({id(one) for one in pooled}) == 1 else None
        learned = any(_kind(one) in _WEIGHTED for one in passed)
        if feature_map is None or learned:
            return Ends(feature_map, tensor)
        inner = _before_scores(feature_map, known=any(map(_gives_scores, passed)))
        return Ends(feature_map, tensor) if inner is None else Ends(inner, None)
    tensor, _ = _back(output, most_dimensions=2)
    if len(tensor.shape) != 4:
        raise HeadstartError(
            f"No features were found in '{model.name}': '{_origin(tensor)[0].name}' gives "
            f"{tuple(tensor.shape[1:])}. Expected a feature map (height, width, features), then "
            "global pooling or Flatten, then Dense layers. Save the model without its last layers."
        )
    inner = _before_scores(tensor, known=False) if tensor is output else None
    return Ends(tensor if inner is None else inner, None)


def _back(tensor: Any, most_dimensions: int) -> tuple[Any, list[Any]]:
    """Go back through layers of a classifier; the tensor before them, and what was passed.

    With two dimensions at most it ends at the first map, behind which Flatten comes.
    """
    passed: list[Any] = []
    while len(tensor.shape) <= most_dimensions:
        operation, inputs = _origin(tensor)
        if len(inputs) != 1 or _kind(operation) not in _PASSIVE | _WEIGHTED:
            break
        passed.append(operation)
        tensor = inputs[0]
    return tensor, passed


def _pooled(tensor: Any) -> list[Any]:
    """The feature maps that `tensor` is the global pooling of, or several poolings in a row of."""
    operation, inputs = _origin(tensor)
    if _kind(operation) == "Concatenate":
        parts = [_pooled(one) for one in inputs]
        return [one for part in parts for one in part] if all(parts) else []
    if _kind(operation) not in _POOLING or len(inputs) != 1:
        return []
    before, after = inputs[0].shape, tensor.shape
    whole = len(after) == 2 or tuple(after[1:3]) == (1, 1)
    return list(inputs) if len(before) == 4 and whole and before[-1] == after[-1] else []


def _before_scores(tensor: Any, *, known: bool) -> Any:
    """The map before the convolution that gives the scores of the old classes, or None.

    `known` says that scores are made of `tensor` later; otherwise an activation has to show it.
    """
    operation, inputs = _origin(tensor)
    while _kind(operation) in _PASSIVE | {"BatchNormalization"} and len(inputs) == 1:
        known = known or _gives_scores(operation)
        operation, inputs = _origin(inputs[0])
    if _kind(operation) == "Conv2D" and (known or _gives_scores(operation)):
        return inputs[0]
    return None


def _gives_scores(operation: Any) -> bool:
    names = (_kind(operation), getattr(getattr(operation, "activation", None), "__name__", ""))
    return any(name.lower() in _SCORES for name in names)


def _kind(operation: Any) -> str:
    return type(operation).__name__


def _origin(tensor: Any) -> tuple[Any, list[Any]]:
    """The operation that gives `tensor`, and what it was called on there."""
    operation, node, _ = tensor._keras_history
    return operation, operation._inbound_nodes[node].input_tensors
