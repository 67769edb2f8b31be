"""
The one door to the model: the only module that imports ``iris_model``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

import iris_model
from iris_api.errors import Fault, InvalidInputs, ModelUnusable
from iris_api.schemas import ModelCard, Rows

MAX_FAULTS = 20

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answers:
    """
    The model's answers to the rows of one request, in their order.

    ``matrix`` holds those rows, shape (n, features), and ``shares`` their
    probabilities, shape (n, classes).
    """

    matrix: Matrix
    shares: Matrix
    labels: list[str]
    probabilities: list[dict[str, float]]
    out_of_range: list[tuple[str, ...]]


class Predictor:
    """
    Answer rows with one model.

    Parameters
    ----------
    model : IrisModel
        Loaded and checked.

    Attributes
    ----------
    card : ModelCard
        What the model says of itself.
    example : dict
        A row it was trained to know, for documentation.
    """

    def __init__(self, model: iris_model.IrisModel) -> None:
        self._model = model
        self._classes = tuple(model.classes)
        self._values = itemgetter(*model.feature_names)
        self.card = build_card(model.manifest)
        golden = model.manifest.golden_rows[0].values
        self.example = dict(zip(model.feature_names, golden, strict=True))

    def predict(self, rows: Rows) -> Answers:
        """
        Return the model's answers.

        Parameters
        ----------
        rows : list of dict of str to float
            Exactly the model's features in each, finite; at least one row.

        Raises
        ------
        InvalidInputs
            If the model has no answer to a row.
        """
        values = [self._values(row) for row in rows]
        return self.predict_matrix(
            np.array(values, dtype=np.float64).reshape(len(rows), -1)
        )

    def predict_matrix(self, matrix: Matrix) -> Answers:
        """
        Return the model's answers.

        Parameters
        ----------
        matrix : array of shape (n, features)
            Rows, in the model's order of features; finite, at least one.

        Raises
        ------
        InvalidInputs
            If the model has no answer to a row.
        """
        try:
            shares = self._model.probabilities(matrix)
        except iris_model.InvalidRows as error:
            raise _invalid(error) from None
        winners = shares.argmax(axis=1).tolist()
        return Answers(
            matrix=matrix,
            shares=shares,
            labels=[self._classes[winner] for winner in winners],
            probabilities=[dict(zip(self._classes, s)) for s in shares.tolist()],
            out_of_range=self._model.out_of_range(matrix),
        )

    def check_ready(self) -> None:
        """
        Answer the golden rows once more.

        Raises
        ------
        ModelUnusable
            If an answer is not the manifest's.
        """
        try:
            self._model.check_golden_rows()
        except iris_model.IrisModelError as error:
            raise ModelUnusable(str(error)) from None


def load_predictor() -> Predictor:
    """
    Return a predictor of the installed model.

    Raises
    ------
    ModelUnusable
        If the artefact is not what it says it is; in one line.
    """
    try:
        return Predictor(iris_model.load())
    except iris_model.IrisModelError as error:
        raise ModelUnusable(" ".join(str(error).split())) from None


def build_card(manifest: iris_model.Manifest) -> ModelCard:
    """Return what people should know of a manifest."""
    whole = manifest.model_dump()
    digests = {name: face["sha256"] for name, face in whole["faces"].items()}
    for name in ("table", "config", "source"):
        digests[name] = whole[f"{name}_sha256"]
    return ModelCard(
        name=manifest.model_name,
        version=manifest.model_version,
        engine=f"onnxruntime {metadata.version('onnxruntime')}",
        digests={"manifest": manifest.digest, **digests},
        **{
            field: whole[field]
            for field in ("target classes features steps metrics libraries".split())
        },
    )


def _invalid(error: iris_model.InvalidRows) -> InvalidInputs:
    faults = []
    for problem in error.problems[:MAX_FAULTS]:
        places = ["inputs", problem.row, problem.field]
        pointer = "".join(f"/{place}" for place in places if place is not None)
        fault = Fault(pointer, problem.reason, "no_answer", problem.field or "")
        faults.append(fault)
    return InvalidInputs(tuple(faults), len(error.problems) - len(faults))
