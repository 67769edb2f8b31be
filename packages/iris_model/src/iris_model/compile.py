"""
Compile a fitted pipeline into an ONNX graph that gives the same answers.

scikit-learn's own steps are converted by skl2onnx. feature-engine's have no
converters there, so they live here: one small function a transformer, working on
one float64 matrix whose column names are known while the graph is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from feature_engine.creation import MathFeatures, RelativeFeatures
from feature_engine.outliers import Winsorizer
from onnx import TensorProto
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from iris_model.errors import NoConverter

TARGET_OPSET = 21
INPUT = "rows"
PROBABILITIES = "probabilities"

# feature-engine allows both; a graph only knows text.
Name = str | int


class Columns:
    """
    A matrix inside the graph whose columns have names.

    Wraps the three things every converter needs: to pick columns by name, to
    write a constant, and to apply an ONNX operator.
    """

    def __init__(
        self, scope: Any, container: Any, matrix: str, names: Sequence[Name]
    ) -> None:  # Any: skl2onnx is untyped
        self._scope = scope
        self._container = container
        self.matrix = matrix
        self.names = [str(name) for name in names]

    def apply(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add one node and return the name of its output."""
        output = str(self._scope.get_unique_variable_name(operator.lower()))
        self._container.add_node(
            operator,
            list(inputs),
            output,
            name=self._scope.get_unique_operator_name(operator),
            **attributes,
        )
        return output

    def constant(self, values: npt.ArrayLike) -> str:
        """Add a float64 initializer and return its name."""
        return self._initializer(TensorProto.DOUBLE, np.asarray(values, np.float64))

    def indices(self, values: Sequence[int]) -> str:
        """Add an int64 initializer and return its name."""
        return self._initializer(TensorProto.INT64, np.asarray(values, np.int64))

    def _initializer(self, kind: int, array: npt.NDArray[Any]) -> str:
        name = str(self._scope.get_unique_variable_name("constant"))
        self._container.add_initializer(name, kind, array.shape, array.flatten())
        return name

    def pick(self, names: Sequence[Name]) -> str:
        """Return a matrix of the named columns."""
        places = self.indices([self.names.index(str(name)) for name in names])
        return self.apply("Gather", self.matrix, places, axis=1)

    def append(self, matrix: str, names: Sequence[Name]) -> None:
        """Add columns on the right."""
        self.matrix = self.apply("Concat", self.matrix, matrix, axis=1)
        self.names.extend(str(name) for name in names)

    def drop(self, names: Sequence[Name]) -> None:
        """Remove columns."""
        dropped = {str(name) for name in names}
        kept: list[Name] = [name for name in self.names if name not in dropped]
        self.matrix = self.pick(kept)
        self.names = [str(name) for name in kept]


Converter = Callable[[Any, Columns], None]


def compile_winsorizer(step: Winsorizer, columns: Columns) -> None:
    """Clip each column at the caps that were learnt."""
    if step.add_indicators:
        raise ValueError("add_indicators=True is not supported")
    lower = [step.left_tail_caps_.get(name, -np.inf) for name in columns.names]
    upper = [step.right_tail_caps_.get(name, np.inf) for name in columns.names]
    capped = columns.apply("Min", columns.matrix, columns.constant([upper]))
    columns.matrix = columns.apply("Max", capped, columns.constant([lower]))


_RELATIVE = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "truediv": "Div",
    "pow": "Pow",
}


def compile_relative_features(step: RelativeFeatures, columns: Columns) -> None:
    """Combine each variable with each reference; a zero divisor gives the fill."""
    for function in step.func:
        if function not in _RELATIVE:
            raise ValueError(f"func {function!r} is not supported")
        for reference in step.reference:
            left, right = columns.pick(step.variables), columns.pick([reference])
            made = columns.apply(_RELATIVE[function], left, right)
            if _RELATIVE[function] == "Div" and step.fill_value is not None:
                is_zero = columns.apply("Equal", right, columns.constant([[0.0]]))
                fill = columns.constant([[step.fill_value]])
                made = columns.apply("Where", is_zero, fill, made)
            names = [f"{name}_{function}_{reference}" for name in step.variables]
            columns.append(made, names)
    if step.drop_original:
        columns.drop([*step.variables, *step.reference])


_MATH = {
    "sum": "ReduceSum",
    "prod": "ReduceProd",
    "mean": "ReduceMean",
    "min": "ReduceMin",
    "max": "ReduceMax",
}


def compile_math_features(step: MathFeatures, columns: Columns) -> None:
    """Reduce the variables of each row to one number a function."""
    functions = step.func if isinstance(step.func, list) else [step.func]
    made_names = [n for n in step.get_feature_names_out() if n not in columns.names]
    variables = columns.pick(step.variables)
    axis = columns.indices([1])
    for function, name in zip(functions, made_names, strict=True):
        if function not in _MATH:
            raise ValueError(f"func {function!r} is not supported")
        columns.append(
            columns.apply(_MATH[function], variables, axis, keepdims=1), [name]
        )
    if step.drop_original:
        columns.drop(step.variables)


CONVERTERS: dict[type[BaseEstimator], Converter] = {
    MathFeatures: compile_math_features,
    RelativeFeatures: compile_relative_features,
    Winsorizer: compile_winsorizer,
}


def compile_pipeline(pipeline: Pipeline) -> bytes:
    """
    Return a fitted pipeline as the bytes of an ONNX model.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted on a DataFrame; transformers, then one classifier.

    Returns
    -------
    bytes
        A model with one input ``rows`` (float64, shape (n, features)) and an
        output ``probabilities`` (float64, shape (n, classes)), classes in the
        order of ``pipeline.classes_``. The same pipeline gives the same bytes.

    Raises
    ------
    NoConverter
        If a step, or an option of one, has no compiled form; names the step.
    """
    for name, step in pipeline.steps:
        if type(step) in CONVERTERS:
            _register(name, type(step), CONVERTERS[type(step)])
    width = len(pipeline.feature_names_in_)
    try:
        model = convert_sklearn(
            pipeline,
            name="pipeline",  # else a random one, and other bytes at every run
            initial_types=[(INPUT, DoubleTensorType([None, width]))],
            target_opset=TARGET_OPSET,
            options={"zipmap": False},
        )
    except (MissingShapeCalculator, MissingConverter) as error:
        raise _no_converter(pipeline, str(error)) from None
    # skl2onnx walks a set of operator sets: their order would change with the
    # interpreter's hash seed, and the digest with it.
    ordered = sorted(model.opset_import, key=lambda entry: entry.domain)
    del model.opset_import[:]
    model.opset_import.extend(ordered)
    return bytes(model.SerializeToString(deterministic=True))


def _no_converter(pipeline: Pipeline, message: str) -> NoConverter:
    """Name the step whose type skl2onnx complains of."""
    for name, step in pipeline.steps:
        if str(type(step)) in message:
            return NoConverter(name, f"there is no converter for {type(step).__name__}")
    return NoConverter("?", message.partition("\n")[0])


class _DryRun:
    """Stands in for skl2onnx while only the names of the columns are wanted."""

    def get_unique_variable_name(self, seed: str) -> str:
        return seed

    def get_unique_operator_name(self, seed: str) -> str:
        return seed

    def add_node(self, *arguments: object, **attributes: object) -> None:
        """Take a node and forget it."""

    def add_initializer(self, *arguments: object) -> None:
        """Take a constant and forget it."""


def _register(
    name: str, estimator_class: type[BaseEstimator], converter: Converter
) -> None:
    """Tell skl2onnx how wide the step's output is and how to write the step."""

    def run(operator: Any, scope: Any, container: Any) -> Columns:
        step = operator.raw_operator
        matrix = operator.inputs[0].full_name
        columns = Columns(scope, container, matrix, step.feature_names_in_)
        try:
            converter(step, columns)
        except ValueError as error:
            raise NoConverter(name, str(error)) from None
        return columns

    def shape(operator: Any) -> None:
        # Not get_feature_names_out(): with drop_original, feature-engine 1.9 still
        # lists the reference columns that RelativeFeatures has dropped.
        width = len(run(operator, _DryRun(), _DryRun()).names)
        operator.outputs[0].type = DoubleTensorType([None, width])

    def convert(scope: Any, operator: Any, container: Any) -> None:
        made = run(operator, scope, container).matrix
        container.add_node("Identity", [made], operator.outputs[0].full_name)

    update_registered_converter(
        estimator_class,
        f"FeatureEngine{estimator_class.__name__}",
        shape,
        convert,
        overwrite=True,
    )
