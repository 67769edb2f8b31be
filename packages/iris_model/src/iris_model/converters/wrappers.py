"""
The converter of feature_engine.wrappers.
"""

from __future__ import annotations

from feature_engine.wrappers import SklearnTransformerWrapper
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from .columns import Columns
from .errors import Unsupported
from .estimators import write_transformer
from .scikit import WRITERS

# What skl2onnx writes in float64, one column for one column, and agrees.
_BY_SKL2ONNX = (
    MaxAbsScaler,
    MinMaxScaler,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)


def convert_wrapper(step: SklearnTransformerWrapper, columns: Columns) -> None:
    """Apply a scikit-learn transformer to some of the columns."""
    inner, variables = step.transformer_, list(step.variables_)
    if hasattr(step, "features_to_drop_"):
        columns.drop(step.features_to_drop_)
    elif type(inner) in WRITERS:
        WRITERS[type(inner)](inner, columns, variables)
    elif isinstance(inner, _BY_SKL2ONNX):
        made, _ = write_transformer(inner, columns, variables)
        columns.put(variables, made)
    else:
        raise Unsupported(f"transformer={type(inner).__name__}")
