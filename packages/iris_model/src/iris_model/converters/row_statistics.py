"""
Statistics over the columns of a float64 matrix, one number a row, as pandas has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from onnx import TensorProto

from .graph import Graph

Statistic = Callable[[Graph, str, int], str]


def _reduce(graph: Graph, operator: str, matrix: str) -> str:
    return graph.apply(operator, matrix, graph.indices([1]), keepdims=1)


def _plain(operator: str) -> Statistic:
    return lambda graph, matrix, width: _reduce(graph, operator, matrix)


def _sum(graph: Graph, matrix: str, width: int) -> str:
    """
    Return the sum from left to right, as numpy adds.

    ReduceSum adds in an order of its own, which shows where big numbers cancel.
    """
    sums = graph.apply("CumSum", matrix, graph.indices(1))
    return graph.apply("Gather", sums, graph.indices([width - 1]), axis=1)


def _mean(graph: Graph, matrix: str, width: int) -> str:
    total = _sum(graph, matrix, width)
    return graph.apply("Div", total, graph.constant(float(width)))


def _variance(graph: Graph, matrix: str, width: int) -> str:
    apart = graph.apply("Sub", matrix, _mean(graph, matrix, width))
    total = _reduce(graph, "ReduceSum", graph.apply("Mul", apart, apart))
    return graph.apply("Div", total, graph.constant(width - 1.0))


def _deviation(graph: Graph, matrix: str, width: int) -> str:
    return graph.apply("Sqrt", _variance(graph, matrix, width))


def _median(graph: Graph, matrix: str, width: int) -> str:
    ordered = _sort(graph, matrix, width)
    middle = graph.indices([(width - 1) // 2, width // 2])
    return _reduce(graph, "ReduceMean", graph.apply("Gather", ordered, middle, axis=1))


def _sort(graph: Graph, matrix: str, width: int) -> str:
    count = graph.indices([width])
    return graph.apply("TopK", matrix, count, axis=1, largest=0, sorted=1)


def _fill(graph: Graph, matrix: str, fill: float) -> str:
    gaps = graph.apply("IsNaN", matrix)
    return graph.apply("Where", gaps, graph.constant(fill), matrix)


def _count(graph: Graph, matrix: str) -> str:
    present = graph.apply("Not", graph.apply("IsNaN", matrix))
    return _reduce(graph, "ReduceSum", graph.cast(present))


def _unless_fewer(graph: Graph, matrix: str, least: int, made: str) -> str:
    """Return made where at least so many values are present, else NaN."""
    least_count = graph.constant(float(least))
    is_enough = graph.apply("GreaterOrEqual", _count(graph, matrix), least_count)
    return graph.apply("Where", is_enough, made, graph.constant(np.nan))


def _filled(operator: str, fill: float, least: int) -> Statistic:
    def reduce(graph: Graph, matrix: str, width: int) -> str:
        made = _reduce(graph, operator, _fill(graph, matrix, fill))
        return _unless_fewer(graph, matrix, least, made)

    return reduce


def _present_sum(graph: Graph, matrix: str, width: int) -> str:
    return _sum(graph, _fill(graph, matrix, 0.0), width)


def _present_mean(graph: Graph, matrix: str, width: int) -> str:
    total = _present_sum(graph, matrix, width)
    return graph.apply("Div", total, _count(graph, matrix))


def _present_variance(graph: Graph, matrix: str, width: int) -> str:
    mean = _present_mean(graph, matrix, width)
    apart = _fill(graph, graph.apply("Sub", matrix, mean), 0.0)
    total = _reduce(graph, "ReduceSum", graph.apply("Mul", apart, apart))
    fewer = graph.apply("Sub", _count(graph, matrix), graph.constant(1.0))
    made = graph.apply("Div", total, fewer)
    return _unless_fewer(graph, matrix, 2, made)


def _present_deviation(graph: Graph, matrix: str, width: int) -> str:
    return graph.apply("Sqrt", _present_variance(graph, matrix, width))


def _present_median(graph: Graph, matrix: str, width: int) -> str:
    ordered = _sort(graph, _fill(graph, matrix, np.inf), width)
    count = _count(graph, matrix)
    fewer = graph.apply("Sub", count, graph.constant(1.0))
    halves = [
        graph.apply("Floor", graph.apply("Div", number, graph.constant(2.0)))
        for number in (fewer, count)
    ]
    middle = graph.cast(graph.apply("Concat", *halves, axis=1), TensorProto.INT64)
    # None present gives places -1 and 0, both of the infinity filled in.
    picked = graph.apply("GatherElements", ordered, middle, axis=1)
    return _unless_fewer(graph, matrix, 1, _reduce(graph, "ReduceMean", picked))


# For matrices in which every number is finite.
STATISTICS: Mapping[str, Statistic] = {
    "sum": _sum,
    "prod": _plain("ReduceProd"),
    "mean": _mean,
    "min": _plain("ReduceMin"),
    "max": _plain("ReduceMax"),
    "std": _deviation,
    "var": _variance,
    "median": _median,
}

# For matrices with NaN, which pandas leaves out.
PRESENT_ONLY: Mapping[str, Statistic] = {
    "sum": _present_sum,
    "prod": _filled("ReduceProd", 1.0, 0),
    "mean": _present_mean,
    "min": _filled("ReduceMin", np.inf, 1),
    "max": _filled("ReduceMax", -np.inf, 1),
    "std": _present_deviation,
    "var": _present_variance,
    "median": _present_median,
}
