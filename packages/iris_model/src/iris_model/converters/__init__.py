"""
Converters from feature-engine's transformers to ONNX.

Needs feature-engine, numpy, onnx, pandas, scikit-learn and skl2onnx, and nothing of
the package around it: this folder can be lifted out as it is.
"""

from .columns import MISSING_TEXT, Columns, open_columns
from .errors import Unsupported
from .estimators import write_classifier, write_transformer
from .graph import Graph
from .registry import CONVERTERS, write_step

__all__ = [
    "CONVERTERS",
    "MISSING_TEXT",
    "Columns",
    "Graph",
    "Unsupported",
    "open_columns",
    "write_classifier",
    "write_step",
    "write_transformer",
]
