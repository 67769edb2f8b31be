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
        if columns.is_text(name):
            _fill_text(name, value, columns)
        else:
            _fill_number(name, value, columns)


def _fill_text(name: Name, value: Any, columns: Columns) -> None:
    if not isinstance(value, str):
        raise Unsupported(f"fill_value={value!r} in the text column {name!r}")
    fill = columns.graph.text([value])
    made = columns.graph.apply(
        "Where", columns.missing(name), fill, columns.pick_text(name)
    )
    columns.put([name], made, is_text=True)


def _fill_number(name: Name, value: Any, columns: Columns) -> None:
    if isinstance(value, str):
        raise Unsupported(f"fill_value={value!r} in the number column {name!r}")
    fill = columns.graph.constant(value)
    made = columns.graph.apply(
        "Where", columns.missing(name), fill, columns.pick([name])
    )
    columns.put([name], made)


def convert_indicator(step: AddMissingIndicator, columns: Columns) -> None:
    """Add a column a variable: 1 where it is missing, else 0."""
    for name in step.variables_:
        made = columns.graph.cast(columns.missing(name))
        columns.put([f"{name}_na"], made, is_finite=True)
