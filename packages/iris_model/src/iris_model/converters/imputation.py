"""
Converters of feature_engine.imputation.
"""

from __future__ import annotations

from typing import Any

from feature_engine.imputation import (
    AddMissingIndicator,
    ArbitraryNumberImputer,
    CategoricalImputer,
    EndTailImputer,
    MeanMedianImputer,
)

from .columns import Columns, Name
from .errors import Unsupported


def convert_numbers(
    step: MeanMedianImputer | ArbitraryNumberImputer | EndTailImputer,
    columns: Columns,
) -> None:
    """Fill each variable's gaps with the number that was learnt or given."""
    variables = list(step.imputer_dict_)
    if not variables:
        return
    matrix = columns.pick(variables)
    fills = columns.graph.constant([list(step.imputer_dict_.values())])
    gaps = columns.graph.apply("IsNaN", matrix)
    columns.put(variables, columns.graph.apply("Where", gaps, fills, matrix))


def convert_categorical(step: CategoricalImputer, columns: Columns) -> None:
    """Fill each variable's gaps with a text (or, in a number column, a number)."""
    for name, value in step.imputer_dict_.items():
        fill(columns, name, value)


def fill(columns: Columns, name: Name, value: Any) -> None:
    """
    Fill a column's gaps with a value of its kind.

    Raises
    ------
    Unsupported
        If the value is text and the column holds numbers, or the other way round.
    """
    if isinstance(value, str) != columns.is_text(name):
        kind = "text" if columns.is_text(name) else "number"
        raise Unsupported(f"fill_value={value!r} in the {kind} column {name!r}")
    if columns.is_text(name):
        filling, values = columns.graph.text([value]), columns.pick_text(name)
    else:
        filling, values = columns.graph.constant(value), columns.pick([name])
    made = columns.graph.apply("Where", columns.missing(name), filling, values)
    columns.put([name], made, is_text=columns.is_text(name))


def convert_indicator(step: AddMissingIndicator, columns: Columns) -> None:
    """Add a column a variable: 1 where it is missing, else 0."""
    for name in step.variables_:
        made = columns.graph.cast(columns.missing(name))
        columns.put([f"{name}_na"], made, is_finite=True)
