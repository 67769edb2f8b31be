"""
Converters of scikit-learn's transformers that skl2onnx has not in float64, or not
for columns of different kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
)

from .columns import Columns, Name
from .encoding import look_up, put_one_hot
from .errors import Unsupported
from .estimators import check_input
from .imputation import fill
from .transformation import box_cox, yeo_johnson

# scikit-learn divides by no norm below this.
_SMALL_NORM = 10.0 * float(np.finfo(np.float64).eps)


def write_one_hot(step: OneHotEncoder, columns: Columns, variables: list[Name]) -> None:
    """
    Replace variables by one column a category.

    Raises
    ------
    Unsupported
        On rare categories grouped, or a missing category.
    """
    if step.min_frequency is not None or step.max_categories is not None:
        raise Unsupported("min_frequency or max_categories")
    names = iter(step.get_feature_names_out([str(name) for name in variables]))
    dropped = step.drop_idx_ if step.drop_idx_ is not None else [None] * len(variables)
    for name, categories, skipped in zip(
        variables, step.categories_, dropped, strict=True
    ):
        _check_known(step, columns, name, categories)
        kept = [key for i, key in enumerate(categories.tolist()) if i != skipped]
        put_one_hot(columns, name, kept, [next(names) for _ in kept])
    columns.drop(variables)


def write_ordinal(
    step: OrdinalEncoder, columns: Columns, variables: list[Name]
) -> None:
    """
    Replace the categories of variables by their ranks.

    Raises
    ------
    Unsupported
        On rare categories grouped, or a missing category.
    """
    if step.min_frequency is not None or step.max_categories is not None:
        raise Unsupported("min_frequency or max_categories")
    unknown = step.unknown_value if step.unknown_value is not None else np.nan
    for name, categories in zip(variables, step.categories_, strict=True):
        _check_known(step, columns, name, categories)
        ranks = [float(rank) for rank in range(len(categories))]
        columns.put([name], look_up(columns, name, categories.tolist(), ranks, unknown))


def _check_known(step: Any, columns: Columns, name: Name, categories: Any) -> None:
    """Refuse unknown categories if the encoder does."""
    if pd.isna(categories).any():
        raise Unsupported(f"{name!r} was missing in rows it was fitted on")
    if step.handle_unknown == "error":
        place = columns.index(name, categories.tolist())
        unknown = columns.graph.apply("Less", place, columns.graph.indices(0))
        columns.refuse_where(unknown, 1)
    elif step.handle_unknown not in ("ignore", "use_encoded_value"):
        raise Unsupported(f"handle_unknown={step.handle_unknown!r}")


def write_imputer(step: SimpleImputer, columns: Columns, variables: list[Name]) -> None:
    """Fill gaps with what was learnt; other marks of a gap are Unsupported."""
    if not pd.isna(step.missing_values):
        raise Unsupported(f"missing_values={step.missing_values!r}")
    if step.add_indicator:
        raise Unsupported("add_indicator=True")
    numbers = [name for name in variables if not columns.is_text(name)]
    if numbers:
        check_input(columns, numbers, takes_nan=True)
    for name, value in zip(variables, step.statistics_.tolist(), strict=True):
        if pd.isna(value):
            raise Unsupported(f"{name!r} was missing in every row it was fitted on")
        fill(columns, name, value)


def write_function(
    step: FunctionTransformer, columns: Columns, variables: list[Name]
) -> None:
    """Do nothing, as the transformer without a function does."""
    if step.func is not None or step.validate:
        raise Unsupported("func or validate=True")


def write_power(
    step: PowerTransformer, columns: Columns, variables: list[Name]
) -> None:
    """Apply each variable's power; standardise if asked to."""
    check_input(columns, variables, takes_nan=True)
    method = box_cox if step.method == "box-cox" else yeo_johnson
    for name, power in zip(variables, step.lambdas_.tolist(), strict=True):
        columns.put([name], method(columns, name, power))
    if step.standardize:
        graph = columns.graph
        means = graph.constant([step._scaler.mean_])
        scales = graph.constant([step._scaler.scale_])
        centred = graph.apply("Sub", columns.pick(variables), means)
        columns.put(variables, graph.apply("Div", centred, scales))


def write_bins(step: KBinsDiscretizer, columns: Columns, variables: list[Name]) -> None:
    """Replace each variable by the number of its bin, closed on the left."""
    if step.encode != "ordinal":
        raise Unsupported(f"encode={step.encode!r}")
    columns.check_finite(variables)
    graph = columns.graph
    for name, edges in zip(variables, step.bin_edges_, strict=True):
        inner = graph.constant([edges[1:-1]])
        above = graph.apply("GreaterOrEqual", columns.pick([name]), inner)
        axis = graph.indices([1])
        number = graph.apply("ReduceSum", graph.cast(above), axis, keepdims=1)
        columns.put([name], number, is_finite=True)


def write_binarizer(step: Binarizer, columns: Columns, variables: list[Name]) -> None:
    """Give 1 above the threshold, else 0."""
    columns.check_finite(variables)
    threshold = columns.graph.constant(step.threshold)
    above = columns.graph.apply("Greater", columns.pick(variables), threshold)
    columns.put(variables, columns.graph.cast(above), is_finite=True)


def write_normalizer(step: Normalizer, columns: Columns, variables: list[Name]) -> None:
    """Divide each row by its norm; a row of next to nothing stays."""
    columns.check_finite(variables)
    graph, matrix = columns.graph, columns.pick(variables)
    axis = graph.indices([1])
    if step.norm == "l2":
        squares = graph.apply("Mul", matrix, matrix)
        norm = graph.apply("Sqrt", graph.apply("ReduceSum", squares, axis, keepdims=1))
    else:
        operator = "ReduceSum" if step.norm == "l1" else "ReduceMax"
        sizes = graph.apply("Abs", matrix)
        norm = graph.apply(operator, sizes, axis, keepdims=1)
    is_small = graph.apply("Less", norm, graph.constant(_SMALL_NORM))
    norm = graph.apply("Where", is_small, graph.constant(1.0), norm)
    columns.put(variables, graph.apply("Div", matrix, norm))


def write_polynomial(
    step: PolynomialFeatures, columns: Columns, variables: list[Name]
) -> None:
    """Replace variables by their products, each a row of ``powers_``."""
    columns.check_finite(variables)
    graph = columns.graph
    matrix = graph.apply("Unsqueeze", columns.pick(variables), graph.indices([1]))
    raised = graph.apply("Pow", matrix, graph.constant([step.powers_]))
    made = graph.apply("ReduceProd", raised, graph.indices([2]), keepdims=0)
    names = step.get_feature_names_out([str(name) for name in variables])
    columns.drop(variables)
    columns.put(list(names), made)


# Each gets the transformer, the table, and the columns that it was fitted on.
Writer = Callable[[Any, Columns, list[Name]], None]
WRITERS: dict[type[BaseEstimator], Writer] = {
    Binarizer: write_binarizer,
    FunctionTransformer: write_function,
    KBinsDiscretizer: write_bins,
    Normalizer: write_normalizer,
    OneHotEncoder: write_one_hot,
    OrdinalEncoder: write_ordinal,
    PolynomialFeatures: write_polynomial,
    PowerTransformer: write_power,
    SimpleImputer: write_imputer,
}


def convert_whole(step: BaseEstimator, columns: Columns) -> None:
    """Write a transformer of all columns."""
    WRITERS[type(step)](step, columns, list(columns.names))
