"""
Converters of feature_engine.wrappers, and of the scikit-learn encoders one can wrap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from feature_engine.wrappers import SklearnTransformerWrapper
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures

from .columns import Columns, Name
from .encoding import look_up, put_one_hot
from .errors import Unsupported
from .estimators import write_transformer


def convert_wrapper(step: SklearnTransformerWrapper, columns: Columns) -> None:
    """Apply a scikit-learn transformer to some of the columns."""
    inner, variables = step.transformer_, list(step.variables_)
    if hasattr(step, "features_to_drop_"):
        columns.drop(step.features_to_drop_)
    elif isinstance(inner, OneHotEncoder):
        write_one_hot(inner, columns, variables)
    elif isinstance(inner, OrdinalEncoder):
        write_ordinal(inner, columns, variables)
    elif isinstance(inner, PolynomialFeatures):
        made, _ = write_transformer(inner, columns, variables)
        columns.drop(variables)
        columns.put(list(inner.get_feature_names_out(variables)), made)
    else:
        made, _ = write_transformer(inner, columns, variables)
        columns.put(variables, made)


def convert_one_hot(step: OneHotEncoder, columns: Columns) -> None:
    """Replace all columns by one column a category."""
    write_one_hot(step, columns, list(columns.names))


def convert_ordinal(step: OrdinalEncoder, columns: Columns) -> None:
    """Replace the categories of all columns by their ranks."""
    write_ordinal(step, columns, list(columns.names))


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
