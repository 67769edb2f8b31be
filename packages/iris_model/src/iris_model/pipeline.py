"""
Build the unfitted scikit-learn Pipeline that a configuration describes.
"""

from __future__ import annotations

import difflib
import inspect

from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline

from iris_model.config import Config, StepConfig
from iris_model.errors import ConfigError
from iris_model.features import (
    CLASSIFIER_MODULES,
    TRANSFORMER_MODULES,
    find_estimator,
)

CLASSIFIER_STEP = "classify"


def build_pipeline(config: Config) -> Pipeline:
    """
    Return the unfitted pipeline of a configuration.

    Parameters
    ----------
    config : Config
        Its steps in order, then its classifier. An estimator that has a
        ``random_state`` gets the configuration's seed unless it sets its own.

    Returns
    -------
    Pipeline
        Takes a DataFrame of the configuration's features; transformers hand on
        DataFrames, so that a step can name what an earlier one made.

    Raises
    ------
    ConfigError
        If a class or an option is unknown, or a value is refused by its class.
    """
    steps: list[tuple[str, BaseEstimator]] = [
        (step.name, _build_step(step, config, TRANSFORMER_MODULES))
        for step in config.steps
    ]
    for _, transformer in steps:
        transformer.set_output(transform="pandas")
    classifier = _build_step(config.classifier, config, CLASSIFIER_MODULES)
    if not is_classifier(classifier) or not hasattr(classifier, "predict_proba"):
        reason = f"{config.classifier.kind} gives no class probabilities"
        raise _fault(config, config.classifier, reason)
    return Pipeline([*steps, (CLASSIFIER_STEP, classifier)])


def _build_step(
    step: StepConfig, config: Config, modules: tuple[str, ...]
) -> BaseEstimator:
    try:
        estimator_class = find_estimator(step.kind, modules)
    except LookupError as error:
        raise _fault(config, step, str(error)) from None
    known = list(inspect.signature(estimator_class).parameters)
    for option in step.options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            reason = f"{step.kind} has no option {option!r}{hint}"
            raise _fault(config, step, reason, option)
    options = dict(step.options)
    if "random_state" in known:
        options.setdefault("random_state", config.seed)
    try:
        return estimator_class(**options)
    except (TypeError, ValueError) as error:
        raise _fault(config, step, f"{step.kind}: {error}") from None


def _fault(
    config: Config, step: StepConfig, reason: str, option: str = ""
) -> ConfigError:
    line = step.lines[option]
    return ConfigError(str(config.file), line, option or step.name, reason)
