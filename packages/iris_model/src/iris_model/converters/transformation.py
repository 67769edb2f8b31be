"""
Converters of feature_engine.transformation.
"""

from __future__ import annotations

import numpy as np
from feature_engine.transformation import (
    ArcSinhTransformer,
    BoxCoxTransformer,
    LogCpTransformer,
    LogTransformer,
    PowerTransformer,
    ReciprocalTransformer,
    YeoJohnsonTransformer,
)

from .columns import Columns, Name
from .graph import LN_10, Graph

# Below this, scipy takes the exponent for zero.
_BOX_COX_ZERO = 1e-19
_YEO_JOHNSON_ZERO = float(np.finfo(np.float64).eps)


def convert_log(step: LogTransformer, columns: Columns) -> None:
    """Take the logarithm; refuse zero and below."""
    columns.check_finite(step.variables_)
    made = _positive(columns, columns.pick(step.variables_), len(step.variables_))
    columns.put(step.variables_, _log(columns.graph, made, step.base))


def convert_log_cp(step: LogCpTransformer, columns: Columns) -> None:
    """Add the constants and take the logarithm; refuse sums of zero and below."""
    variables = step.variables_
    columns.check_finite(variables)
    given = step.C_ if isinstance(step.C_, dict) else dict.fromkeys(variables, step.C_)
    constants = columns.graph.constant([[given[name] for name in variables]])
    moved = columns.graph.apply("Add", columns.pick(variables), constants)
    made = _positive(columns, moved, len(variables))
    columns.put(variables, _log(columns.graph, made, step.base))


def _positive(columns: Columns, matrix: str, width: int) -> str:
    """Refuse the rows where a value is zero or below; return the matrix."""
    low = columns.graph.apply("LessOrEqual", matrix, columns.graph.constant(0.0))
    columns.refuse_where(low, width)
    return matrix


def _log(graph: Graph, matrix: str, base: str) -> str:
    made = graph.apply("Log", matrix)
    return made if base == "e" else graph.apply("Div", made, graph.constant(LN_10))


def convert_power(step: PowerTransformer, columns: Columns) -> None:
    """Raise to the exponent; a root of a negative number is missing."""
    columns.check_finite(step.variables_)
    exponent = columns.graph.constant([[step.exp]])
    made = columns.graph.apply("Pow", columns.pick(step.variables_), exponent)
    columns.put(step.variables_, made)


def convert_reciprocal(step: ReciprocalTransformer, columns: Columns) -> None:
    """Divide one by each value; refuse zero."""
    columns.check_finite(step.variables_)
    matrix = columns.pick(step.variables_)
    zero = columns.graph.apply("Equal", matrix, columns.graph.constant(0.0))
    columns.refuse_where(zero, len(step.variables_))
    one = columns.graph.constant(1.0)
    columns.put(step.variables_, columns.graph.apply("Div", one, matrix))


def convert_box_cox(step: BoxCoxTransformer, columns: Columns) -> None:
    """Apply each variable's Box-Cox power; refuse zero and below."""
    columns.check_finite(step.variables_)
    for name in step.variables_:
        columns.put([name], box_cox(columns, name, step.lambda_dict_[name]))


def box_cox(columns: Columns, name: Name, power: float) -> str:
    """Return a column's Box-Cox transform; refuse zero and below."""
    value = _positive(columns, columns.pick([name]), 1)
    log = columns.graph.apply("Log", value)
    return _power_of_log(columns.graph, log, power, _BOX_COX_ZERO)


def convert_yeo_johnson(step: YeoJohnsonTransformer, columns: Columns) -> None:
    """Apply each variable's Yeo-Johnson power, mirrored below zero."""
    columns.check_finite(step.variables_)
    for name in step.variables_:
        columns.put([name], yeo_johnson(columns, name, step.lambda_dict_[name]))


def yeo_johnson(columns: Columns, name: Name, power: float) -> str:
    """Return a column's Yeo-Johnson transform."""
    graph, value = columns.graph, columns.pick([name])
    log = graph.log1p(graph.apply("Abs", value))
    above = _power_of_log(graph, log, power, _YEO_JOHNSON_ZERO)
    below = _power_of_log(graph, log, 2.0 - power, _YEO_JOHNSON_ZERO)
    is_above = graph.apply("GreaterOrEqual", value, graph.constant(0.0))
    return graph.apply("Where", is_above, above, graph.apply("Neg", below))


def _power_of_log(graph: Graph, log: str, power: float, zero: float) -> str:
    """Return (exp(power * log) - 1) / power, or the log when the power is zero."""
    if abs(power) < zero:
        return log
    scale = graph.constant(power)
    return graph.apply("Div", graph.expm1(graph.apply("Mul", log, scale)), scale)


def convert_arcsinh(step: ArcSinhTransformer, columns: Columns) -> None:
    """
    Take the inverse hyperbolic sine of shifted and scaled values.

    Notes
    -----
    onnxruntime has no Asinh in float64; asinh(x) = sign(x) log(|x| + sqrt(x^2 + 1))
    as log1p(|x| + x^2 / (1 + sqrt(x^2 + 1))), which keeps small numbers. From 1e8
    on, log(2 |x|) is the same to the last bit and squares nothing.
    """
    columns.check_finite(step.variables_)
    graph = columns.graph
    one = graph.constant(1.0)
    moved = graph.apply("Sub", columns.pick(step.variables_), graph.constant(step.loc))
    moved = graph.apply("Div", moved, graph.constant(step.scale))
    size = graph.apply("Abs", moved)
    square = graph.apply("Mul", size, size)
    root = graph.apply("Sqrt", graph.apply("Add", square, one))
    rest = graph.apply("Div", square, graph.apply("Add", root, one))
    near = graph.log1p(graph.apply("Add", size, rest))
    far = graph.apply("Add", graph.apply("Log", size), graph.constant(np.log(2.0)))
    is_far = graph.apply("Greater", size, graph.constant(1e8))
    made = graph.apply("Where", is_far, far, near)
    made = graph.apply("Mul", graph.apply("Sign", moved), made)
    columns.put(step.variables_, made)
