"""
Write scikit-learn's own estimators into a graph with skl2onnx.
"""

from __future__ import annotations

from typing import Any

from onnx import ModelProto, TensorProto, compose
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.base import BaseEstimator, is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import RobustScaler, StandardScaler
from sklearn.utils import get_tags

from .columns import Columns, Name
from .errors import Unsupported
from .graph import OPSETS, Graph

# Of the classifiers that accept NaN, those whose graph sends it the same way.
_TAKE_NAN = (HistGradientBoostingClassifier,)

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
    matrix = columns.pick(variables)
    if not (is_checked_after and isinstance(step, _HIDE_NOTHING)):
        _check_input(columns, variables, get_tags(step).input_tags.allow_nan)
    return _write(step, columns.graph, matrix, len(variables), output=0)


def checks_all(step: BaseEstimator) -> bool:
    """Tell whether a step is a classifier for which every column must be finite."""
    return is_classifier(step) and not isinstance(step, _TAKE_NAN)


def write_classifier(step: BaseEstimator, columns: Columns) -> tuple[str, int]:
    """
    Write a fitted classifier of all columns; return its probabilities and their width.

    Raises
    ------
    Unsupported
        If it is no classifier with probabilities, or skl2onnx cannot write it.
    """
    if not is_classifier(step) or not hasattr(step, "predict_proba"):
        raise Unsupported(f"{type(step).__name__} gives no class probabilities")
    matrix = columns.pick(columns.names)
    _check_input(columns, columns.names, isinstance(step, _TAKE_NAN))
    made, _ = _write(step, columns.graph, matrix, len(columns.names), output=1)
    return made, len(step.classes_)


def _check_input(columns: Columns, names: list[Any], takes_nan: bool) -> None:
    """Refuse infinity, which no estimator takes, and NaN unless it is taken."""
    if not takes_nan:
        columns.check_finite(names)
        return
    mask = columns.graph.apply("IsInf", columns.pick(names))
    columns.refuse_where(mask, len(names))


def _write(
    step: BaseEstimator, graph: Graph, matrix: str, width: int, output: int
) -> tuple[str, int]:
    model = _convert(step, width)
    prefix = f"{type(step).__name__.lower()}_{graph.size}_"
    found = model.graph.output[output]
    kind = found.type.tensor_type
    part = compose.add_prefix_graph(model.graph, prefix)
    graph.splice(part, matrix, [entry.domain for entry in model.opset_import])
    made = prefix + found.name
    if kind.elem_type != TensorProto.DOUBLE:
        made = graph.cast(made)
    return made, int(kind.shape.dim[1].dim_value)


def _convert(step: BaseEstimator, width: int) -> ModelProto:
    options = {id(step): {"zipmap": False}} if is_classifier(step) else None
    try:
        model = convert_sklearn(
            step,
            name="step",  # else a random one, and other bytes at every run
            initial_types=[("matrix", DoubleTensorType([None, width]))],
            target_opset=OPSETS,
            options=options,
        )
    except (MissingShapeCalculator, MissingConverter):
        message = f"there is no converter for {type(step).__name__}"
        raise Unsupported(message) from None
    except (NotImplementedError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise Unsupported(f"{type(step).__name__}: {reason}") from None
    assert isinstance(model, ModelProto)
    return model
