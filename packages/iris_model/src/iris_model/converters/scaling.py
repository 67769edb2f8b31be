"""
Converters of feature_engine.scaling.
"""

from __future__ import annotations

from feature_engine.scaling import MeanNormalizationScaler

from .columns import Columns


def convert_mean_normalization(step: MeanNormalizationScaler, columns: Columns) -> None:
    """Subtract each variable's mean and divide by its range."""
    graph, variables = columns.graph, step.variables_
    columns.check_finite(variables)
    means = graph.constant([[step.mean_[name] for name in variables]])
    ranges = graph.constant([[step.range_[name] for name in variables]])
    centred = graph.apply("Sub", columns.pick(variables), means)
    columns.put(variables, graph.apply("Div", centred, ranges))
