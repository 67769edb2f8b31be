"""
Converters of feature_engine.creation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from feature_engine.creation import CyclicalFeatures, MathFeatures, RelativeFeatures

from .columns import Columns
from .errors import Unsupported
from .graph import Graph
from .row_statistics import PRESENT_ONLY, STATISTICS


def convert_math(step: MathFeatures, columns: Columns) -> None:
    """Reduce the variables of each row to one number a function."""
    functions = step.func if isinstance(step.func, list) else [step.func]
    variables = step.variables
    known = STATISTICS if step.missing_values == "raise" else PRESENT_ONLY
    for function in functions:
        if not isinstance(function, str) or function not in known:
            raise Unsupported(f"func={function!r}")
    if step.missing_values == "raise":
        columns.check_finite(variables)
    matrix = columns.pick(variables)
    joined = "_".join(str(name) for name in variables)
    default_names = [f"{function}_{joined}" for function in functions]
    names = step.new_variables_names or default_names
    for function, name in zip(functions, names, strict=True):
        made = known[function](columns.graph, matrix, len(variables))
        columns.put([name], made)
    if step.drop_original:
        columns.drop(variables)


def _modulo(graph: Graph, left: str, right: str) -> str:
    """Return the remainder with the sign of the divisor, as numpy does."""
    rest = graph.apply("Mod", left, right, fmod=1)
    moved = graph.apply("Add", rest, right)
    return graph.apply("Where", _is_rest_astray(graph, rest, right), moved, rest)


def _is_rest_astray(graph: Graph, rest: str, right: str) -> str:
    """Tell where C's remainder is not zero and has not the divisor's sign."""
    zero = graph.constant(0.0)
    rest_below, right_below = (graph.apply("Less", x, zero) for x in (rest, right))
    differs = graph.apply("Xor", rest_below, right_below)
    is_zero = graph.apply("Equal", rest, zero)
    return graph.apply("And", differs, graph.apply("Not", is_zero))


def _floor_divide(graph: Graph, left: str, right: str) -> str:
    """
    Return the quotient rounded down, with numpy's care for the last bit.

    Notes
    -----
    numpy subtracts the remainder first, so that floor() has next to nothing to
    do: floor(left / right) alone is off by one where the quotient rounds up.
    """
    one = graph.constant(1.0)
    rest = graph.apply("Mod", left, right, fmod=1)
    whole = graph.apply("Div", graph.apply("Sub", left, rest), right)
    lower = graph.apply("Sub", whole, one)
    whole = graph.apply("Where", _is_rest_astray(graph, rest, right), lower, whole)
    down = graph.apply("Floor", whole)
    short = graph.apply("Sub", whole, down)
    is_short = graph.apply("Greater", short, graph.constant(0.5))
    return graph.apply("Where", is_short, graph.apply("Add", down, one), down)


def _plain(operator: str) -> Callable[[Graph, str, str], str]:
    return lambda graph, left, right: graph.apply(operator, left, right)


_RELATIVE: dict[str, Callable[[Graph, str, str], str]] = {
    "add": _plain("Add"),
    "sub": _plain("Sub"),
    "mul": _plain("Mul"),
    "div": _plain("Div"),
    "truediv": _plain("Div"),
    "floordiv": _floor_divide,
    "mod": _modulo,
    "pow": _plain("Pow"),
}
_DIVISIONS = {"div", "truediv", "floordiv", "mod"}


def convert_relative(step: RelativeFeatures, columns: Columns) -> None:
    """Combine variables and references; a zero divisor gives the fill or refusal."""
    if step.missing_values == "raise":
        columns.check_finite([*step.variables_, *step.reference])
    graph = columns.graph
    for function in step.func:
        for reference in step.reference:
            right = columns.pick([reference])
            made = _RELATIVE[function](graph, columns.pick(step.variables), right)
            if function in _DIVISIONS:
                made = _fill_zero_divisor(step, columns, right, made)
            names = [f"{name}_{function}_{reference}" for name in step.variables]
            columns.put(names, made)
    if step.drop_original:
        columns.drop([*step.variables, *step.reference])


def _fill_zero_divisor(
    step: RelativeFeatures, columns: Columns, right: str, made: str
) -> str:
    graph = columns.graph
    is_zero = graph.apply("Equal", right, graph.constant(0.0))
    if step.fill_value is None:
        columns.refuse_where(is_zero, 1)
        return made
    return graph.apply("Where", is_zero, graph.constant(step.fill_value), made)


def convert_cyclical(step: CyclicalFeatures, columns: Columns) -> None:
    """Put each variable on a circle: its sine and cosine."""
    columns.check_finite(step.variables_)
    for name in step.variables_:
        turn = columns.graph.constant(2.0 * np.pi / step.max_values_[name])
        angle = columns.graph.apply("Mul", columns.pick([name]), turn)
        columns.put([f"{name}_sin"], columns.graph.apply("Sin", angle))
        columns.put([f"{name}_cos"], columns.graph.apply("Cos", angle))
    if step.drop_original:
        columns.drop(step.variables_)
