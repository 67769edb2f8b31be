"""
Compare the two faces of an artefact: same labels, same probabilities.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
import pandas as pd
from sklearn.pipeline import Pipeline

from iris_model.artefact import Parity
from iris_model.compile import INPUT, PROBABILITIES
from iris_model.data import Table
from iris_model.errors import ParityBroken
from iris_model.validation import Matrix

PARITY_ROWS = 10_000
PARITY_LIMIT = 1e-9
# Random rows reach this share of a feature's range beyond the training data.
PARITY_MARGIN = 0.25


def check_parity(
    pipeline: Pipeline, model_bytes: bytes, table: Table, seed: int
) -> Parity:
    """
    Compare the two faces on the table and on random rows in and around its range.

    Raises
    ------
    ParityBroken
        If a label differs or a probability differs by more than 1e-9.
    """
    matrix = table.rows.to_numpy()
    parts = {
        "the table": matrix,
        f"{PARITY_ROWS:,} random rows": random_rows(matrix, PARITY_ROWS, seed),
    }
    largest = 0.0
    for name, rows in parts.items():
        frame = pd.DataFrame(rows, columns=table.rows.columns)
        differing, distance = compare_faces(pipeline, model_bytes, frame)
        if differing or not distance <= PARITY_LIMIT:
            raise ParityBroken(name, differing, distance, PARITY_LIMIT)
        largest = max(largest, distance)
    rows_in_all = sum(len(rows) for rows in parts.values())
    return Parity(rows=rows_in_all, labels_differing=0, largest_difference=largest)


def random_rows(matrix: Matrix, count: int, seed: int) -> Matrix:
    """Return uniform rows, a quarter of each column's range beyond its ends."""
    low, high = matrix.min(axis=0), matrix.max(axis=0)
    margin = PARITY_MARGIN * (high - low)
    generator = np.random.default_rng(seed)
    return generator.uniform(low - margin, high + margin, (count, matrix.shape[1]))


def compare_faces(
    pipeline: Pipeline, model_bytes: bytes, frame: pd.DataFrame
) -> tuple[int, float]:
    """Return how many labels differ, and the largest probability difference."""
    session = onnxruntime.InferenceSession(
        model_bytes, providers=["CPUExecutionProvider"]
    )
    matrix = np.ascontiguousarray(frame.to_numpy(dtype=np.float64))
    compiled = session.run([PROBABILITIES], {INPUT: matrix})[0]
    studied = pipeline.predict_proba(frame)
    labels = pipeline.classes_[compiled.argmax(axis=1)]
    differing = int((labels != pipeline.predict(frame)).sum())
    return differing, float(np.abs(compiled - studied).max())
