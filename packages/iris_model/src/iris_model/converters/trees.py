"""
Write trees and forests so that their probabilities stay in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.tree import BaseDecisionTree, DecisionTreeClassifier, ExtraTreeClassifier

from .errors import Unsupported
from .graph import Graph

TREES = (
    DecisionTreeClassifier,
    ExtraTreeClassifier,
    ExtraTreesClassifier,
    RandomForestClassifier,
)
# Up to here, float32 holds every whole number.
_MOST_LEAVES = 2**24


def write_trees(step: Any, graph: Graph, matrix: str) -> str:
    """
    Return the class probabilities of a tree or a forest.

    Parameters
    ----------
    step : classifier
        One of ``TREES``, fitted. (Any: the four share no useful base.)
    graph : Graph
        Takes the nodes.
    matrix : str
        A float32 matrix, what scikit-learn's trees look at.

    Notes
    -----
    ONNX's trees answer in float32, which is seven digits of a probability. So each
    tree here answers with the number of its leaf, which float32 holds exactly, and
    the probabilities are looked up in a float64 table.

    Raises
    ------
    Unsupported
        If there are several outputs, or more leaves than float32 can count.
    """
    trees = [step] if isinstance(step, BaseDecisionTree) else list(step.estimators_)
    if step.n_outputs_ != 1:
        raise Unsupported("several outputs")
    table = np.concatenate([_leaf_values(tree.tree_) for tree in trees])
    if len(table) > _MOST_LEAVES:
        raise Unsupported(f"more than {_MOST_LEAVES:,} leaves")
    leaves = graph.apply(
        "TreeEnsembleRegressor",
        matrix,
        domain="ai.onnx.ml",
        n_targets=len(trees),
        **_attributes([tree.tree_ for tree in trees]),
    )
    places = graph.cast(leaves, TensorProto.INT64)
    found = graph.apply("Gather", graph.constant(table), places)
    total = graph.apply("ReduceSum", found, graph.indices([1]), keepdims=0)
    return graph.apply("Div", total, graph.constant(float(len(trees))))


def _leaf_values(tree: Any) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = tree.value[tree.feature < 0, 0]
    return values


def _attributes(trees: list[Any]) -> dict[str, list[Any]]:
    """Return the trees as ONNX has them; a leaf's weight is its row in the table."""
    nodes: dict[str, list[Any]] = {
        "treeids": [i for i, tree in enumerate(trees) for _ in tree.feature],
        "nodeids": [n for tree in trees for n in range(tree.node_count)],
        "featureids": [max(int(f), 0) for tree in trees for f in tree.feature],
        "values": [v for tree in trees for v in _thresholds(tree)],
        "modes": [
            "LEAF" if f < 0 else "BRANCH_LEQ" for tree in trees for f in tree.feature
        ],
        "truenodeids": [max(int(n), 0) for t in trees for n in t.children_left],
        "falsenodeids": [max(int(n), 0) for t in trees for n in t.children_right],
    }
    leaves = [
        (place, int(node))
        for place, tree in enumerate(trees)
        for node in np.flatnonzero(tree.feature < 0)
    ]
    owners = [place for place, _ in leaves]
    return {
        **{f"nodes_{name}": values for name, values in nodes.items()},
        "target_treeids": owners,
        "target_ids": owners,
        "target_nodeids": [node for _, node in leaves],
        "target_weights": [float(row) for row in range(len(leaves))],
    }


def _thresholds(tree: Any) -> list[float]:
    """Return the largest float32 that is not above each threshold."""
    narrow = tree.threshold.astype(np.float32)
    lower = np.nextafter(narrow, np.float32(-np.inf))
    found: list[float] = np.where(narrow > tree.threshold, lower, narrow).tolist()
    return found
