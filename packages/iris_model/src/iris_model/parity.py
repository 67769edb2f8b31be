"""
Hold the two faces of an artefact against each other: pipeline and compiled model.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
import pandas as pd
from sklearn.pipeline import Pipeline

from iris_model.artefact import Parity
from iris_model.compile import PROBABILITIES, inputs_of, text_features
from iris_model.data import Table
from iris_model.errors import ParityBroken
from iris_model.validation import Matrix

PARITY_ROWS = 10_000
PARITY_LIMIT = 1e-9
# Random rows reach this share of a feature's range beyond the training data.
PARITY_MARGIN = 0.25
# The pipeline takes milliseconds to refuse one; so many are looked at.
REFUSED_ROWS = 50


def check_parity(
    pipeline: Pipeline, model_bytes: bytes, table: Table, seed: int
) -> Parity:
    """
    Compare the two faces on the table and on random rows in and around its range.

    Raises
    ------
    ParityBroken
        If a label differs, a probability differs by more than 1e-9, or one face
        answers what the other refuses.
    """
    parts = {
        "the table": table.rows,
        f"{PARITY_ROWS:,} random rows": random_frame(table.rows, PARITY_ROWS, seed),
    }
    largest = 0.0
    for name, frame in parts.items():
        differing, distance = compare_faces(pipeline, model_bytes, frame)
        if differing or not distance <= PARITY_LIMIT:
            raise ParityBroken(name, differing, distance, PARITY_LIMIT)
        largest = max(largest, distance)
    rows_in_all = sum(len(frame) for frame in parts.values())
    return Parity(rows=rows_in_all, labels_differing=0, largest_difference=largest)


def random_frame(frame: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Return random rows: numbers as of random_rows, texts that the table holds."""
    texts = text_features(frame)
    numbers = [name for name in frame if name not in texts]
    matrix = frame[numbers].to_numpy(dtype=np.float64)
    made = pd.DataFrame(random_rows(matrix, count, seed), columns=numbers)
    generator = np.random.default_rng(seed)
    for name in texts:
        places = generator.integers(0, len(frame), count)
        made[name] = frame[name].iloc[places].reset_index(drop=True)
    return made[list(frame)]


def random_rows(matrix: Matrix, count: int, seed: int) -> Matrix:
    """Return uniform rows, a quarter of each column's range beyond its ends."""
    low, high = np.nanmin(matrix, axis=0), np.nanmax(matrix, axis=0)
    margin = PARITY_MARGIN * (high - low)
    generator = np.random.default_rng(seed)
    return generator.uniform(low - margin, high + margin, (count, matrix.shape[1]))


def compare_faces(
    pipeline: Pipeline, model_bytes: bytes, frame: pd.DataFrame
) -> tuple[int, float]:
    """
    Return how many labels differ, and the largest probability difference.

    Where one face answers and the other refuses, the label differs; a pipeline
    that raises for rows which the compiled model answers is infinitely far away.
    """
    session = onnxruntime.InferenceSession(
        model_bytes, providers=["CPUExecutionProvider"]
    )
    compiled = session.run([PROBABILITIES], inputs_of(frame))[0]
    is_answered = np.isfinite(compiled).all(axis=1)
    refused = np.flatnonzero(~is_answered)[:REFUSED_ROWS]
    differing = sum(_answer(pipeline, frame.iloc[[row]]) is not None for row in refused)
    if not is_answered.any():
        return differing, 0.0
    studied = _answer(pipeline, frame[is_answered])
    if studied is None:
        return differing + int(is_answered.sum()), float("inf")
    compiled = compiled[is_answered]
    # Of predict(), which not every classifier takes from its probabilities.
    labels = pipeline.predict(frame[is_answered])
    differing += int((pipeline.classes_[compiled.argmax(axis=1)] != labels).sum())
    return differing, float(np.abs(compiled - studied).max())


def _answer(pipeline: Pipeline, frame: pd.DataFrame) -> Matrix | None:
    """Return the pipeline's probabilities, or None if it refuses the rows."""
    try:
        answer: Matrix = pipeline.predict_proba(frame)
    except ValueError:  # what feature-engine and scikit-learn raise for bad values
        return None
    return answer if np.isfinite(answer).all() else None
