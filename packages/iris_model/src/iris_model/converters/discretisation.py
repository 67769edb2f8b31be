"""
Converters of feature_engine.discretisation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from feature_engine.discretisation import (
    ArbitraryDiscretiser,
    DecisionTreeDiscretiser,
    EqualFrequencyDiscretiser,
    EqualWidthDiscretiser,
    GeometricWidthDiscretiser,
)
from onnx import TensorProto

from .columns import MISSING_TEXT, Columns, Name

# Edges are Any: feature-engine keeps them as a list, an array or whole numbers.


def convert_bins(
    step: EqualWidthDiscretiser | EqualFrequencyDiscretiser | GeometricWidthDiscretiser,
    columns: Columns,
) -> None:
    """Replace each variable by the number, or the boundaries, of its bin."""
    columns.check_finite(step.variables_)
    for name in step.variables_:
        edges = step.binner_dict_[name]
        if step.return_boundaries:
            _put_boundaries(columns, name, edges, step.precision)
        else:
            columns.put([name], _bin_or_missing(columns, name, edges))


def convert_arbitrary(step: ArbitraryDiscretiser, columns: Columns) -> None:
    """As convert_bins; outside the edges is missing, or refused on errors='raise'."""
    if step.errors == "raise":
        for name in step.variables_:
            inside = _is_inside(columns, name, step.binner_dict_[name])
            columns.refuse_where(columns.graph.apply("Not", inside), 1)
    convert_bins(step, columns)


def _bin(columns: Columns, name: Name, edges: Any) -> str:
    """
    Return the number of a value's bin, from 0; bins are closed on the right.

    That is the count of inner edges below the value, so that a value on an edge
    belongs to the lower bin exactly as it does for pandas.
    """
    graph = columns.graph
    inner = graph.constant([list(edges[1:-1])])
    above = graph.apply("Greater", columns.pick([name]), inner)
    axis = graph.indices([1])
    return graph.apply("ReduceSum", graph.cast(above), axis, keepdims=1)


def _is_inside(columns: Columns, name: Name, edges: Any) -> str:
    graph, value = columns.graph, columns.pick([name])
    above = graph.apply("GreaterOrEqual", value, graph.constant(edges[0]))
    below = graph.apply("LessOrEqual", value, graph.constant(edges[-1]))
    return graph.apply("And", above, below)


def _bin_or_missing(columns: Columns, name: Name, edges: Any) -> str:
    number = _bin(columns, name, edges)
    if np.isneginf(edges[0]) and np.isposinf(edges[-1]):
        return number
    inside = _is_inside(columns, name, edges)
    return columns.graph.apply("Where", inside, number, columns.graph.constant(np.nan))


def _put_boundaries(columns: Columns, name: Name, edges: Any, precision: Any) -> None:
    graph = columns.graph
    one_inside = pd.Series([float(edges[1])])
    cut: Any = pd.cut  # its stubs ask for dates
    found = cut(one_inside, list(edges), precision=precision, include_lowest=True)
    intervals = found.cat.categories
    labels = graph.text([*(str(interval) for interval in intervals), MISSING_TEXT])
    last = graph.constant(float(len(intervals)))
    inside = _is_inside(columns, name, edges)
    number = graph.apply("Where", inside, _bin(columns, name, edges), last)
    place = graph.cast(number, TensorProto.INT64)
    columns.put([name], graph.apply("Gather", labels, place), is_text=True)


def convert_decision_tree(step: DecisionTreeDiscretiser, columns: Columns) -> None:
    """Replace each variable by its tree's prediction, bin number or boundaries."""
    columns.check_finite(step.variables_)
    for name in step.variables_:
        found = step.binner_dict_[name]
        if step.bin_output == "prediction":
            _put_predictions(columns, name, step, found.best_estimator_)
        elif step.bin_output == "boundaries":
            _put_boundaries(columns, name, found, step.precision)
        else:
            columns.put([name], _bin_or_missing(columns, name, found))


def _put_predictions(
    columns: Columns, name: Name, step: DecisionTreeDiscretiser, tree: Any
) -> None:
    """Write a tree of one variable as what it is, a staircase."""
    graph = columns.graph
    inner = sorted(set(tree.tree_.threshold[tree.tree_.feature == 0].tolist()))
    heights = [_height(tree, value, step.regression) for value in [*inner, np.inf]]
    if step.precision is not None:
        heights = np.round(heights, step.precision).tolist()
    # A tree of scikit-learn looks at float32.
    narrow = graph.cast(graph.cast(columns.pick([name]), TensorProto.FLOAT))
    columns.refuse_unless_finite(narrow, 1)
    above = graph.apply("Greater", narrow, graph.constant([inner]))
    rank = graph.apply("ReduceSum", graph.cast(above), graph.indices([1]), keepdims=1)
    place = graph.cast(rank, TensorProto.INT64)
    columns.put([name], graph.apply("Gather", graph.constant(heights), place))


def _height(tree: Any, value: float, is_regression: bool) -> float:
    """Return the prediction for a float64 that predict() would round first."""
    inside = tree.tree_
    node = 0
    while inside.feature[node] >= 0:
        below = value <= inside.threshold[node]
        node = inside.children_left[node] if below else inside.children_right[node]
    answer: npt.NDArray[np.float64] = inside.value[node][0]
    return float(answer[0] if is_regression else answer[1] / answer.sum())
