"""
The converter of feature_engine.selection: all its classes drop what they chose to.
"""

from __future__ import annotations

from typing import Any

from .columns import Columns


def convert_selector(step: Any, columns: Columns) -> None:
    """
    Drop the columns that the selector dropped when it was fitted.

    Parameters
    ----------
    step : BaseSelector
        Any fitted selector. (Any: the base class is not public there.)
    columns : Columns
        Loses ``step.features_to_drop_``.
    """
    columns.drop(step.features_to_drop_)
