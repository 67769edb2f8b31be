"""
A trained classifier as a package: install it, load it, predict.

>>> import iris_model
>>> model = iris_model.load()
>>> model.predict([[5.1, 3.5, 1.4, 0.2]])[0].label
'setosa'

Importing this package loads nothing; each public name is fetched on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iris_model.artefact import Manifest as Manifest
    from iris_model.artefact import load_pipeline as load_pipeline
    from iris_model.errors import ArtefactMismatch as ArtefactMismatch
    from iris_model.errors import InvalidRows as InvalidRows
    from iris_model.errors import IrisModelError as IrisModelError
    from iris_model.errors import RowProblem as RowProblem
    from iris_model.model import IrisModel as IrisModel
    from iris_model.model import Prediction as Prediction
    from iris_model.model import load as load

__version__ = "1.3.0"

_HOME = {
    "ArtefactMismatch": "errors",
    "InvalidRows": "errors",
    "IrisModel": "model",
    "IrisModelError": "errors",
    "Manifest": "artefact",
    "Prediction": "model",
    "RowProblem": "errors",
    "load": "model",
    "load_pipeline": "artefact",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:  # Any: the attribute decides
    """Import a public name from its module when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """List the public names without importing what they stand for."""
    return sorted(__all__)
