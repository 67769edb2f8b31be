"""
Write scikit-learn's own estimators into a graph with skl2onnx.
"""

from __future__ import annotations

from typing import Any

import onnxruntime
from onnx import ModelProto, TensorProto, compose
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.base import BaseEstimator, is_classifier
from sklearn.ensemble import (
    GradientBoostingClassifier,
)
from sklearn.preprocessing import RobustScaler, StandardScaler
from sklearn.utils import get_tags

from .columns import Columns, Name
from .errors import Unsupported
from .graph import OPSETS, Graph
from .trees import TREES, write_trees

# These raise for numbers that float32 cannot hold.
_LOOK_AT_FLOAT32 = (*TREES, GradientBoostingClassifier)

# Column by column, what is infinite stays so or becomes NaN.
_HIDE_NOTHING = (RobustScaler, StandardScaler)


def write_transformer(
    step: BaseEstimator,
    columns: Columns,
    variables: list[Name],
    *,
    is_checked_after: bool = False,
) -> tuple[str, int]:
    """
    Write a fitted transformer of numbers; return its matrix and how wide that is.

    Parameters
    ----------
    step : BaseEstimator
        Fitted on the variables.
    columns : Columns
        Keeps its columns; gets a refusal where scikit-learn refuses a value.
    variables : list of str or int
        What the transformer was fitted on, in order.
    is_checked_after : bool
        True when all it makes goes into a classifier, whose own check then serves
        for a transformer that hides no infinity.

    Raises
    ------
    Unsupported
        If skl2onnx has no converter for it or for one of its options.
    """
    if type(step).__module__.startswith("feature_engine."):
        raise Unsupported(f"there is no converter for {type(step).__name__}")
    matrix = columns.pick(variables)
    if not (is_checked_after and isinstance(step, _HIDE_NOTHING)):
        check_input(columns, variables, get_tags(step).input_tags.allow_nan)
    return _write(step, columns.graph, matrix, len(variables), output=0)


def check_input(columns: Columns, names: list[Any], takes_nan: bool) -> None:
    """
    Refuse what scikit-learn refuses in a number column.

    Parameters
    ----------
    columns : Columns
        Gets the refusals.
    names : list
        Columns that an estimator looks at.
    takes_nan : bool
        True if it takes what is missing; none takes infinity.
    """
    if not takes_nan:
        columns.check_finite(names)
        return
    mask = columns.graph.apply("IsInf", columns.pick(names))
    columns.refuse_where(mask, len(names))


def write_classifier(step: BaseEstimator, columns: Columns) -> tuple[str, int]:
    """
    Write a fitted classifier of all columns; return its probabilities and their width.

    Every column has to be finite, also for the classifiers that accept NaN: they
    send it where their graph does not.

    Raises
    ------
    Unsupported
        If it is no classifier with probabilities, or skl2onnx cannot write it.
    """
    if not is_classifier(step) or not hasattr(step, "predict_proba"):
        raise Unsupported(f"{type(step).__name__} gives no class probabilities")
    matrix = columns.pick(columns.names)
    columns.check_finite(columns.names)
    if _looks_at_float32(step):
        narrow = columns.graph.cast(matrix, TensorProto.FLOAT)
        columns.refuse_unless_finite(columns.graph.cast(narrow), len(columns.names))
        if isinstance(step, TREES):
            return write_trees(step, columns.graph, narrow), len(step.classes_)
    made, _ = _write(step, columns.graph, matrix, len(columns.names), output=1)
    return made, len(step.classes_)


def _write(
    step: BaseEstimator, graph: Graph, matrix: str, width: int, output: int
) -> tuple[str, int]:
    kind = FloatTensorType if _looks_at_float32(step) else DoubleTensorType
    model = _convert(step, kind([None, width]))
    if kind is FloatTensorType:
        matrix = graph.cast(matrix, TensorProto.FLOAT)
    prefix = f"{type(step).__name__.lower()}_{graph.size}_"
    part = compose.add_prefix_graph(model.graph, prefix)
    graph.splice(part, matrix, [entry.domain for entry in model.opset_import])
    found = model.graph.output[output]
    # What skl2onnx declares is not always what comes out: trees answer in float32.
    made = graph.cast(prefix + found.name)
    return made, int(found.type.tensor_type.shape.dim[1].dim_value)


def _looks_at_float32(step: BaseEstimator) -> bool:
    return isinstance(step, _LOOK_AT_FLOAT32)


def _convert(step: BaseEstimator, kind: Any) -> ModelProto:
    options = {id(step): {"zipmap": False}} if is_classifier(step) else None
    name = type(step).__name__
    try:
        model = convert_sklearn(
            step,
            name="step",  # else a random one, and other bytes at every run
            initial_types=[("matrix", kind)],
            target_opset=OPSETS,
            options=options,
        )
        _load(model)
    except (MissingShapeCalculator, MissingConverter):
        raise Unsupported(f"there is no converter for {name}") from None
    except Exception as error:
        # skl2onnx and onnxruntime raise whatever their inner parts raise.
        reason = str(error).partition("\n")[0]
        raise Unsupported(f"{name}: {reason}") from None
    assert isinstance(model, ModelProto)
    return model


def _load(model: ModelProto) -> None:
    """Raise if onnxruntime cannot run the model, as where float32 meets float64."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
