"""
Converters of feature_engine.preprocessing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from feature_engine.preprocessing import MatchCategories, MatchVariables

from .columns import MISSING_TEXT, Columns
from .errors import Unsupported


def convert_match_variables(step: MatchVariables, columns: Columns) -> None:
    """Drop columns unknown at fitting, add those not there, restore the order."""
    if step.match_dtypes:
        _check_kinds(step.dtype_dict_)
    wanted = [str(name) for name in step.feature_names_in_]
    if step.missing_values == "raise":
        columns.check_present([name for name in wanted if name in columns.names])
    columns.drop([name for name in columns.names if name not in wanted])
    for name in wanted:
        if name not in columns.names:
            raise Unsupported(f"column {name!r} is not there and would be invented")
    columns.arrange(wanted)


def _check_kinds(kinds: dict[Any, Any]) -> None:
    for name, kind in kinds.items():
        if kind != np.float64 and not pd.api.types.is_string_dtype(kind):
            raise Unsupported(f"match_dtypes=True with {kind} in {name!r}")


def convert_match_categories(step: MatchCategories, columns: Columns) -> None:
    """Make categories unknown at fitting missing, or refuse them."""
    for name, levels in step.category_dict_.items():
        index = columns.index(name, list(levels))
        is_known = columns.graph.apply(
            "GreaterOrEqual", index, columns.graph.indices(0)
        )
        if step.missing_values == "raise":
            columns.refuse_where(columns.graph.apply("Not", is_known), 1)
        is_text = columns.is_text(name)
        values = columns.pick_text(name) if is_text else columns.pick([name])
        missing = (
            columns.graph.text([MISSING_TEXT])
            if is_text
            else columns.graph.constant(np.nan)
        )
        made = columns.graph.apply("Where", is_known, values, missing)
        columns.put([name], made, is_text=is_text)
