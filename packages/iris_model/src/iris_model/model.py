"""
Predict with the compiled model. Needs numpy and onnxruntime alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from iris_model.artefact import MODEL, TRAINED, Artefact, Manifest, load_artefact
from iris_model.errors import ArtefactMismatch, InvalidRows, RowProblem
from iris_model.validation import Matrix, parse_rows

# Other processors round differently in the last bits; answers still agree to this.
GOLDEN_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Prediction:
    """
    The model's answer to one row.

    Attributes
    ----------
    label : str
        The most probable class.
    probabilities : dict of str to float
        By class name, in the manifest's order; they sum to 1.
    out_of_range : tuple of str
        Features outside the range of the training table, where the answer is
        an extrapolation.
    """

    label: str
    probabilities: dict[str, float]
    out_of_range: tuple[str, ...]


class IrisModel:
    """
    A loaded model; safe to share between threads.

    Parameters
    ----------
    artefact : Artefact
        Checked bytes from :func:`iris_model.artefact.load_artefact`.

    Raises
    ------
    ArtefactMismatch
        If the compiled model cannot be loaded or a golden row is not answered
        as the manifest says.
    """

    def __init__(self, artefact: Artefact) -> None:
        self.manifest: Manifest = artefact.manifest
        self.feature_names = self.manifest.feature_names
        self.classes = tuple(self.manifest.classes)
        self._lowest = np.array([f.minimum for f in self.manifest.features])
        self._highest = np.array([f.maximum for f in self.manifest.features])
        self._session = _open_session(artefact.model_bytes)
        self.check_golden_rows()

    def probabilities(self, matrix: Matrix) -> Matrix:
        """
        Return class probabilities of validated rows: the fast way in.

        Parameters
        ----------
        matrix : ndarray of float64, shape (n, features)
            C-contiguous, in the order of ``feature_names``, finite; see
            :func:`iris_model.validation.parse_rows`.

        Returns
        -------
        ndarray of float64, shape (n, classes)
            In the order of ``classes``.

        Raises
        ------
        InvalidRows
            If a step of the model has no answer for a row: arithmetic that
            overflows, or a value that the step refuses.
        """
        answer: Matrix = self._session.run(["probabilities"], {"rows": matrix})[0]
        if not np.isfinite(answer).all():
            rows = np.flatnonzero(~np.isfinite(answer).all(axis=1))
            reason = "the model has no answer for these values"
            raise InvalidRows(tuple(RowProblem(int(r), None, reason) for r in rows))
        return answer

    def outside(self, matrix: Matrix) -> npt.NDArray[np.bool_]:
        """Return which cells lie outside the training range, shape as ``matrix``."""
        below: npt.NDArray[np.bool_] = matrix < self._lowest
        return below | (matrix > self._highest)

    def out_of_range(self, matrix: Matrix) -> list[tuple[str, ...]]:
        """Return, for each row, the features outside the training range."""
        outside = self.outside(matrix)
        if not outside.any():
            return [()] * len(matrix)
        return [
            tuple(itertools.compress(self.feature_names, row))
            for row in outside.tolist()
        ]

    def predict(self, rows: Any) -> list[Prediction]:
        """
        Predict rows given by name or by position.

        Parameters
        ----------
        rows : sequence of mappings, DataFrame, or array-like of shape (n, features)
            Mappings and DataFrames go by feature name in any order.

        Returns
        -------
        list of Prediction
            One a row, in order; never fewer.

        Raises
        ------
        InvalidRows
            Listing row, field and reason of everything wrong.
        """
        matrix = parse_rows(rows, self.feature_names)
        if len(matrix) == 0:
            return []
        answer = self.probabilities(matrix)
        best = answer.argmax(axis=1).tolist()
        return [
            Prediction(
                self.classes[winner], dict(zip(self.classes, row, strict=True)), outside
            )
            for winner, row, outside in zip(
                best, answer.tolist(), self.out_of_range(matrix), strict=True
            )
        ]

    def check_golden_rows(self) -> None:
        """
        Answer the golden rows, and raise unless the answers are the manifest's.

        Raises
        ------
        ArtefactMismatch
            Naming the first row that differs.
        """
        golden = self.manifest.golden_rows
        answers = self.predict([row.values for row in golden])
        for position, (row, answer) in enumerate(zip(golden, answers, strict=True)):
            found = list(answer.probabilities.values())
            close = np.allclose(
                found, row.probabilities, rtol=0.0, atol=GOLDEN_TOLERANCE
            )
            if answer.label != row.label or not close:
                expected = f"{row.label} {row.probabilities}"
                what = f"answer to golden row {position}"
                raise ArtefactMismatch(what, expected, f"{answer.label} {found}")


def load(directory: Path = TRAINED) -> IrisModel:
    """
    Load the model that came with this package, or one from a folder.

    Parameters
    ----------
    directory : Path
        Holds an artefact; that of the installed package when left out.

    Raises
    ------
    ArtefactMismatch
        If anything about the artefact is off; nothing is served from it.
    """
    return IrisModel(load_artefact(directory))


def _open_session(model_bytes: bytes) -> onnxruntime.InferenceSession:
    # Else it tells its maker of every session; what it does when it is imported only
    # ORT_DISABLE_TELEMETRY=1 in the environment stops, which is the user's to set.
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    # One request is microseconds of work: handing it to a pool costs more.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            model_bytes, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        # onnxruntime's errors share no base class below Exception.
        found = type(error).__name__
        raise ArtefactMismatch(MODEL, "a model onnxruntime loads", found) from None
