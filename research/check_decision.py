"""
Hold what research decided against what the package is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import strictyaml
from sklearn.pipeline import Pipeline

import iris_model
from iris_model.config import load_config
from iris_model.data import load_table
from iris_model.parity import random_rows

RANDOM_ROWS = 10_000


def differences(decision: Path, config: Path) -> list[str]:
    """
    Return where a configuration departs from a decision, in words.

    Parameters
    ----------
    decision : Path
        ``decision.yml`` as the last notebook writes it.
    config : Path
        ``config.yml`` of the package.

    Returns
    -------
    list of str
        One entry a section that differs; empty when they agree.
    """
    decided, configured = _parse(decision), _parse(config)
    configured["features"] = [feature["name"] for feature in configured["features"]]
    return [
        f"{section}: decided {decided[section]}, configured {configured[section]}"
        for section in ("features", "steps", "classifier", "seed")
        if decided[section] != configured[section]
    ]


def score_differences(decision: Path, manifest: iris_model.Manifest) -> list[str]:
    """Return the scores of a decision that a manifest does not have, in words."""
    found = {
        "accuracy": manifest.metrics.accuracy.mean,
        "macro_f1": manifest.metrics.macro_f1.mean,
        "log_loss": manifest.metrics.log_loss.mean,
    }
    return [
        f"{name}: decided {decided}, trained {found[name]:.4f}"
        for name, decided in _parse(decision)["scores"].items()
        if abs(float(decided) - found[name]) > 0.5e-4
    ]


def compare_answers(pipeline: Pipeline) -> tuple[int, float]:
    """
    Compare a notebook's pipeline with the installed model.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted; takes the configured features.

    Returns
    -------
    (int, float)
        How many labels differ, and the largest probability difference, over every
        row of the table and 10,000 random rows in and around its range.
    """
    table = load_table(load_config())
    matrix = table.rows.to_numpy()
    matrix = np.vstack([matrix, random_rows(matrix, RANDOM_ROWS, seed=7)])
    frame = pd.DataFrame(matrix, columns=table.rows.columns)
    model = iris_model.load()
    served = model.probabilities(matrix)
    studied = pipeline.predict_proba(frame)
    labels = np.array(model.classes)[served.argmax(axis=1)]
    differing = int((labels != pipeline.predict(frame).astype(str)).sum())
    return differing, float(np.abs(served - studied).max())


def _parse(path: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = strictyaml.load(path.read_text()).data
    return parsed
