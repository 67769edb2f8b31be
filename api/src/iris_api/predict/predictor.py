"""
The one door to the model: the only module that imports ``iris_model``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, resources
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

import iris_model
from iris_api.errors import Fault, InvalidInputs, ModelUnusable
from iris_api.predict.table import Table, read_table
from iris_api.schemas import MAX_FAULTS, ModelCard, Reference, Rows

# The last rows of an odd number go through other instructions than the rest, and may
# differ in the last bit. Filled up to a multiple of the widest vector, every row is
# answered alike, alone or among others.
MULTIPLE = 8

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

    def part(self, begin: int, end: int) -> Answers:
        """Return the answers to some of the rows."""
        return Answers(
            self.matrix[begin:end],
            self.shares[begin:end],
            self.labels[begin:end],
            self.probabilities[begin:end],
            self.out_of_range[begin:end],
        )


@dataclass(frozen=True, slots=True)
class Background:
    """
    What a page shows beside the answers.

    Attributes
    ----------
    purpose, limits : str
        Sentences of the model's card; empty when it has none.
    golden : list of (str, list of float)
        Label and values of each golden row.
    table : Table
        Training rows; empty when the model came without them.
    table_rows : int
        How many the model was scored on, also where it came without them.
    """

    purpose: str
    limits: str
    golden: list[tuple[str, list[float]]]
    table: Table
    table_rows: int


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
    reference : Reference or None
        How its training table is answered, to compare live answers with.
    example : dict
        A row it was trained to know, for documentation.
    """

    def __init__(self, model: iris_model.IrisModel) -> None:
        self._model = model
        self._classes = tuple(model.classes)
        self._values = itemgetter(*model.feature_names)
        self.card = build_card(model.manifest)
        self.reference = build_reference(model.manifest)
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
        count = len(rows)
        values = [self._values(row) for row in rows]
        values += values[:1] * (-count % MULTIPLE)
        matrix = np.array(values, dtype=np.float64).reshape(len(values), -1)
        try:
            shares = self._model.probabilities(matrix)[:count]
        except iris_model.InvalidRows as error:
            raise _invalid(error, count) from None
        winners = shares.argmax(axis=1).tolist()
        return Answers(
            matrix=matrix[:count],
            shares=shares,
            labels=[self._classes[winner] for winner in winners],
            probabilities=[dict(zip(self._classes, s)) for s in shares.tolist()],
            out_of_range=self._model.out_of_range(matrix[:count]),
        )

    def read_background(self) -> Background:
        """Return what a page shows beside the answers; reads the training table."""
        manifest = self._model.manifest
        file = resources.files(iris_model) / "datasets" / manifest.table
        names = [feature.name for feature in manifest.features]
        return Background(
            # Manifests of format 1 have neither.
            purpose=getattr(manifest, "purpose", ""),
            limits=getattr(manifest, "limits", ""),
            golden=[(row.label, list(row.values)) for row in manifest.golden_rows],
            table=read_table(file, manifest.table_sha256, names, manifest.target),
            table_rows=manifest.table_rows,
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


def build_reference(manifest: iris_model.Manifest) -> Reference | None:
    """Return how the training table is answered; None before manifests of format 3."""
    found = getattr(manifest, "reference", None)
    if found is None:
        return None
    quantiles = found.confidence
    return Reference(
        dict(found.labels), quantiles.values, quantiles.at_most, quantiles.rows
    )


def _invalid(error: iris_model.InvalidRows, count: int) -> InvalidInputs:
    problems = [p for p in error.problems if p.row is None or p.row < count]
    faults = []
    for problem in problems[:MAX_FAULTS]:
        places = ["inputs", problem.row, problem.field]
        pointer = "".join(f"/{place}" for place in places if place is not None)
        fault = Fault(pointer, problem.reason, "no_answer", problem.field or "")
        faults.append(fault)
    return InvalidInputs(tuple(faults), len(problems) - len(faults))
