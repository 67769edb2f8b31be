"""
Converters of feature_engine.encoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from feature_engine.encoding import (
    CountFrequencyEncoder,
    MeanEncoder,
    OneHotEncoder,
    OrdinalEncoder,
    RareLabelEncoder,
    WoEEncoder,
)

from .columns import Columns, Name
from .errors import Unsupported


def convert_numbers(
    step: OrdinalEncoder | CountFrequencyEncoder | MeanEncoder, columns: Columns
) -> None:
    """Replace each category by its number; see convert_woe for the unseen."""
    if step.missing_values == "raise":
        columns.check_present(step.variables_)
    unseen = step._unseen if step.unseen == "encode" else np.nan
    for name, numbers in step.encoder_dict_.items():
        _put_numbers(columns, name, numbers, unseen, step.unseen == "raise")


def convert_woe(step: WoEEncoder, columns: Columns) -> None:
    """Replace each category by its weight; the unseen is missing, or refused."""
    columns.check_present(step.variables_)
    for name, numbers in step.encoder_dict_.items():
        _put_numbers(columns, name, numbers, np.nan, step.unseen == "raise")


def _put_numbers(
    columns: Columns,
    name: Name,
    numbers: Mapping[Any, float],
    unseen: float,
    is_unseen_refused: bool,
) -> None:
    known = {key: number for key, number in numbers.items() if not pd.isna(key)}
    made = look_up(columns, name, list(known), list(known.values()), unseen)
    if is_unseen_refused:
        columns.refuse_where(columns.graph.apply("IsNaN", made), 1)
    columns.put([name], made)


def look_up(
    columns: Columns,
    name: Name,
    keys: Sequence[Any],
    values: Sequence[float],
    otherwise: float,
) -> str:
    """
    Return the value of each key as a float64 column.

    Parameters
    ----------
    columns : Columns
        Where the column is.
    name : str or int
        A column of text or of numbers.
    keys, values : sequence
        Keys of the column's kind, and as many numbers.
    otherwise : float
        For what is no key, and for what is missing.
    """
    place = columns.index(name, keys)
    table = columns.graph.constant([*values, otherwise])
    return columns.graph.apply("Gather", table, place)  # -1 is the last


def convert_one_hot(step: OneHotEncoder, columns: Columns) -> None:
    """Replace each variable by one column a category; an unseen one is all zeros."""
    columns.check_present(step.variables_)
    for name in step.variables_:
        categories = step.encoder_dict_[name]
        names = [f"{name}_{category}" for category in categories]
        put_one_hot(columns, name, categories, names)
    columns.drop(step.variables_)


def put_one_hot(
    columns: Columns, name: Name, categories: Sequence[Any], names: Sequence[str]
) -> None:
    """Add one column of 0 and 1 a category, under the names given."""
    if not categories:
        return
    place = columns.index(name, categories)
    ranks = columns.graph.indices([list(range(len(categories)))])
    equal = columns.graph.apply("Equal", place, ranks)
    columns.put(names, columns.graph.cast(equal), is_finite=True)


def convert_rare_label(step: RareLabelEncoder, columns: Columns) -> None:
    """Replace what was rare or unseen by one label; what is missing stays."""
    if step.missing_values == "raise":
        columns.check_present(step.variables_)
    for name in step.variables_:
        _put_rare_label(columns, name, step.encoder_dict_[name], step.replace_with)


def _put_rare_label(
    columns: Columns, name: Name, frequent: Sequence[Any], label: Any
) -> None:
    graph, is_text = columns.graph, columns.is_text(name)
    if isinstance(label, str) != is_text:
        kind = "text" if is_text else "number"
        raise Unsupported(f"replace_with={label!r} in the {kind} column {name!r}")
    place = columns.index(name, [key for key in frequent if not pd.isna(key)])
    is_frequent = graph.apply("GreaterOrEqual", place, graph.indices(0))
    stays = graph.apply("Or", is_frequent, columns.missing(name))
    values = columns.pick_text(name) if is_text else columns.pick([name])
    fill = graph.text([label]) if is_text else graph.constant(label)
    made = graph.apply("Where", stays, values, fill)
    columns.put([name], made, is_text=is_text)
