"""
Converters of feature_engine.outliers.
"""

from __future__ import annotations

import numpy as np
from feature_engine.outliers import ArbitraryOutlierCapper, Winsorizer

from .columns import Columns


def convert_capper(step: ArbitraryOutlierCapper | Winsorizer, columns: Columns) -> None:
    """Clip each variable at its caps, the upper one first."""
    graph, variables = columns.graph, step.variables_
    if step.missing_values == "raise":
        columns.check_finite(variables)
    upper = [step.right_tail_caps_.get(name, np.inf) for name in variables]
    lower = [step.left_tail_caps_.get(name, -np.inf) for name in variables]
    made = columns.pick(variables)
    if step.right_tail_caps_:
        made = graph.apply("Min", made, graph.constant([upper]))
    if step.left_tail_caps_:
        made = graph.apply("Max", made, graph.constant([lower]))
    columns.put(variables, made, is_finite=step.missing_values == "raise")


def convert_winsorizer(step: Winsorizer, columns: Columns) -> None:
    """Clip each variable; with indicators, say in which rows and at which end."""
    variables = step.variables_
    before = columns.pick(variables)
    convert_capper(step, columns)
    if not step.add_indicators:
        return
    after = columns.pick(variables)
    wanted = {"left": "Greater", "right": "Less"}
    tails = [tail for tail in wanted if step.tail in (tail, "both")]
    for tail in tails:
        moved = columns.graph.apply(wanted[tail], after, before)
        names = [f"{name}_{tail}" for name in variables]
        columns.put(names, columns.graph.cast(moved), is_finite=True)
    made = [f"{name}_{tail}" for name in variables for tail in tails]
    others = [name for name in columns.names if name not in made]
    columns.arrange([*others, *made])
