"""
Count live rows in the cells of the reference: memory does not grow with the records.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from iris_model.artefact import Manifest
from iris_model.drift import (
    CONFIDENCE,
    LABELS,
    Comparison,
    Counts,
    Distances,
    judge,
    measure_labels,
    measure_numbers,
)
from iris_model.errors import RecordsUnusable
from iris_model.reference import Reference, count_cells, round_confidence
from iris_model.validation import Matrix

Places = npt.NDArray[np.intp]


class DriftTally:
    """
    What is counted of live rows, and the comparisons that come of it.

    Parameters
    ----------
    manifest : Manifest
        With a reference.

    Raises
    ------
    RecordsUnusable
        If it has none.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.reference = reference_of(manifest)
        self._names = manifest.feature_names
        self._classes = manifest.classes
        self._rows = manifest.table_rows
        self._features: dict[str, Counts] = {}
        self._within: dict[tuple[str, str], Counts] = {}
        self._labels: Counter[str] = Counter()
        self._confidence: Counts = count_cells(self.reference.confidence, np.empty(0))
        for name, quantiles in self.reference.features.items():
            self._features[name] = count_cells(quantiles, np.empty(0))
        for label, inner in self.reference.within.items():
            for name, quantiles in inner.items():
                self._within[label, name] = count_cells(quantiles, np.empty(0))

    def add_inputs(self, matrix: Matrix, answers: Places) -> None:
        """
        Count rows.

        Parameters
        ----------
        matrix : ndarray of float64, shape (n, features)
        answers : ndarray of int, shape (n,)
            Position of each row's class.
        """
        for name, column in zip(self._names, matrix.T, strict=True):
            self._features[name] += count_cells(self.reference.features[name], column)
        for place, label in enumerate(self._classes):
            of_class = matrix[answers == place]
            if not len(of_class):
                continue
            for name, column in zip(self._names, of_class.T, strict=True):
                quantiles = self.reference.within[label][name]
                self._within[label, name] += count_cells(quantiles, column)

    def add_answers(self, answers: Places) -> None:
        """
        Count answers.

        Parameters
        ----------
        answers : ndarray of int, shape (n,)
            Position of each row's class.
        """
        counts = np.bincount(answers, minlength=len(self._classes)).tolist()
        self._labels.update(dict(zip(self._classes, counts, strict=True)))

    def add_confidence(self, confidence: Matrix) -> None:
        """
        Count probabilities of answers.

        Parameters
        ----------
        confidence : ndarray of float64, shape (n,)
            Of each row's class, in hundredths or finer.
        """
        rounded = round_confidence(confidence)
        self._confidence += count_cells(self.reference.confidence, rounded)

    def compare(self) -> list[Comparison]:
        """Return the comparisons that may alarm: features, labels and confidence."""
        measured = {
            name: measure_numbers(self.reference.features[name], counts)
            for name, counts in self._features.items()
        }
        measured[LABELS] = measure_labels(self.reference.labels, self._labels)
        confidence = self.reference.confidence
        measured[CONFIDENCE] = measure_numbers(confidence, self._confidence)
        return [
            judge(name, found, self._rows, len(measured))
            for name, found in measured.items()
        ]

    def compare_within(self) -> dict[str, dict[str, Distances]]:
        """
        Return distances by class, then by feature, of rows answered with that class.

        They tell a change of the mix from one of the measurements; none of them alarms.
        """
        found: dict[str, dict[str, Distances]] = {}
        for (label, name), counts in self._within.items():
            quantiles = self.reference.within[label][name]
            if quantiles.rows:
                found.setdefault(label, {})[name] = measure_numbers(quantiles, counts)
        return found


def reference_of(manifest: Manifest) -> Reference:
    """
    Return what live data are compared with.

    Raises
    ------
    RecordsUnusable
        If the manifest is of a format that has none.
    """
    if manifest.reference is None:
        reason = "has no reference; train it again, or use version 1.3.0 or later"
        raise RecordsUnusable("the installed model", reason)
    return manifest.reference
