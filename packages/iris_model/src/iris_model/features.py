"""
Find transformers and classifiers by class name.

Holds no transformer of its own: feature-engine and scikit-learn have them.
"""

from __future__ import annotations

import difflib
import importlib
import inspect

from sklearn.base import BaseEstimator

# Where a class name of config.yml is looked for, in this order: feature-engine
# first, because its transformers keep column names.
TRANSFORMER_MODULES = (
    "feature_engine.creation",
    "feature_engine.discretisation",
    "feature_engine.encoding",
    "feature_engine.imputation",
    "feature_engine.outliers",
    "feature_engine.selection",
    "feature_engine.transformation",
    "sklearn.preprocessing",
)
CLASSIFIER_MODULES = (
    "sklearn.discriminant_analysis",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.naive_bayes",
    "sklearn.neighbors",
    "sklearn.svm",
    "sklearn.tree",
)


def find_estimator(kind: str, modules: tuple[str, ...]) -> type[BaseEstimator]:
    """
    Return the estimator class of a given name.

    Parameters
    ----------
    kind : str
        Class name, such as ``Winsorizer``.
    modules : tuple of str
        Where to look, in order.

    Raises
    ------
    LookupError
        If no module has it; the message proposes the nearest name.
    """
    known: list[str] = []
    for module_name in modules:
        module = importlib.import_module(module_name)
        for name, found in inspect.getmembers(module, inspect.isclass):
            if not issubclass(found, BaseEstimator):
                continue
            if name == kind:
                return found
            known.append(name)
    near = difflib.get_close_matches(kind, known, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    raise LookupError(f"unknown name {kind!r}{hint}")
