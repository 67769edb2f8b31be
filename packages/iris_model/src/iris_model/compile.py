"""
Compile a fitted pipeline into an ONNX graph that gives the same answers.

Walks the pipeline: the steps that ``iris_model.converters`` knows are written by it,
scikit-learn's other steps and the classifier by skl2onnx.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from onnx import TensorProto
from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline

from iris_model.converters import (
    CONVERTERS,
    MISSING_TEXT,
    Columns,
    Graph,
    Unsupported,
    open_columns,
    write_classifier,
    write_step,
    write_transformer,
)
from iris_model.errors import NoConverter

INPUT = "rows"
TEXTS = "texts"
PROBABILITIES = "probabilities"
NUMBERS = "numbers"
MADE_TEXTS = "made_texts"
REFUSALS = "refusals"

Name = str | int


@dataclass(frozen=True, slots=True)
class CompiledTransformer:
    """
    A transformer on its own as an ONNX model.

    Attributes
    ----------
    model_bytes : bytes
        Inputs ``rows`` and ``texts`` as of a pipeline; outputs ``numbers``
        (float64), ``made_texts`` (text) and ``refusals`` (float64, shape (n, 1):
        NaN where the transformer would raise, else 0), those that there are.
    numbers, texts : tuple of str
        Names of the columns of the two outputs.
    names : tuple of str
        All of them in the order of the transformer's DataFrame.
    """

    model_bytes: bytes
    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    names: tuple[str, ...]


def compile_pipeline(pipeline: Pipeline, texts: Sequence[Name] = ()) -> bytes:
    """
    Return a fitted pipeline as the bytes of an ONNX model.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted on a DataFrame; transformers, then one classifier.
    texts : sequence of str
        Features that hold text, see :func:`text_features`; a fitted pipeline does
        not know. All others are numbers.

    Returns
    -------
    bytes
        A model with an input ``rows`` (float64, shape (n, numeric features)), an
        input ``texts`` (text, shape (n, text features)) only if there are such
        features, both in the pipeline's order, and one output ``probabilities``
        (float64, shape (n, classes)) in the order of ``pipeline.classes_``. The
        same pipeline gives the same bytes.

        A row that the pipeline would not answer but raise for (a zero divisor, an
        unseen category under ``unseen="raise"``, NaN into a classifier) has NaN for
        all its probabilities.

    Raises
    ------
    NoConverter
        If a step, or an option of one, has no compiled form; names both.
    """
    graph = Graph()
    columns = open_columns(graph, list(pipeline.feature_names_in_), texts)
    steps = [step for step in pipeline.steps if step[1] not in (None, "passthrough")]
    for (name, step), (_, following) in zip(steps[:-1], steps[1:], strict=True):
        with _named(name):
            _write_transformer(step, columns, following)
    name, classifier = steps[-1]
    with _named(name):
        made, width = write_classifier(classifier, columns)
    made = columns.apply_refusals(made, width)
    graph.output(PROBABILITIES, made, TensorProto.DOUBLE, width)
    return _to_bytes(graph)


def compile_transformer(
    step: BaseEstimator, texts: Sequence[Name] = ()
) -> CompiledTransformer:
    """
    Return one fitted transformer as an ONNX model, to be looked at or tested.

    Parameters
    ----------
    step : BaseEstimator
        Fitted on a DataFrame.
    texts : sequence of str
        Columns it was fitted on that hold text.

    Raises
    ------
    NoConverter
        If it, or an option of it, has no compiled form.
    """
    graph = Graph()
    columns = open_columns(graph, list(step.feature_names_in_), texts)
    with _named(type(step).__name__):
        _write_transformer(step, columns, None)
    names = columns.names
    text_names = [name for name in names if columns.is_text(name)]
    numbers = [name for name in names if name not in text_names]
    if numbers:
        made, width = columns.pick(numbers), len(numbers)
        graph.output(NUMBERS, made, TensorProto.DOUBLE, width)
    if text_names:
        made, width = columns.pick_texts(text_names), len(text_names)
        graph.output(MADE_TEXTS, made, TensorProto.STRING, width)
    refusals = columns.apply_refusals(graph.constant([[0.0]]), 1)
    if columns.can_refuse:
        graph.output(REFUSALS, refusals, TensorProto.DOUBLE, 1)
    return CompiledTransformer(
        _to_bytes(graph), tuple(numbers), tuple(text_names), tuple(names)
    )


def text_features(frame: pd.DataFrame) -> list[str]:
    """Return the names of the columns that hold no numbers, in the frame's order."""
    return [str(name) for name in frame if not _holds_numbers(frame[name])]


def _holds_numbers(column: pd.Series) -> bool:
    kind = column.infer_objects().dtype
    if isinstance(kind, pd.CategoricalDtype):
        kind = kind.categories.dtype
    return pd.api.types.is_numeric_dtype(kind)


def inputs_of(frame: pd.DataFrame) -> dict[str, npt.NDArray[np.float64 | np.object_]]:
    """
    Return a DataFrame as the inputs of a compiled model.

    Parameters
    ----------
    frame : DataFrame
        Its columns in the order of the pipeline's features.

    Returns
    -------
    dict
        ``rows`` and ``texts``, those that the frame has columns for; a missing
        text is ``iris_model.converters.MISSING_TEXT``.
    """
    texts = text_features(frame)
    numbers = [name for name in frame if str(name) not in texts]
    inputs: dict[str, npt.NDArray[np.float64 | np.object_]] = {}
    if numbers:
        matrix = frame[numbers].astype(np.float64).to_numpy()
        inputs[INPUT] = np.ascontiguousarray(matrix)
    if texts:
        written = frame[[name for name in frame if str(name) in texts]].astype(object)
        inputs[TEXTS] = written.where(frame.notna(), MISSING_TEXT).to_numpy()
    return inputs


def _write_transformer(
    step: BaseEstimator, columns: Columns, following: BaseEstimator | None
) -> None:
    if type(step) in CONVERTERS:
        write_step(step, columns)
        return
    variables: list[Name] = list(columns.names)
    made, width = write_transformer(
        step,
        columns,
        variables,
        is_checked_after=following is not None and is_classifier(following),
    )
    columns.drop(variables)
    columns.put(_names_after(step, following, width), made)


def _names_after(
    step: BaseEstimator, following: BaseEstimator | None, width: int
) -> list[Name]:
    """Return what the next step calls the columns that a scikit-learn step makes."""
    found: Iterable[Name] = getattr(following, "feature_names_in_", ())
    names = list(found)
    if len(names) == width:
        return names
    if not names and hasattr(step, "get_feature_names_out"):
        names = list(step.get_feature_names_out())
    return names if len(names) == width else [f"x{i}" for i in range(width)]


@contextmanager
def _named(step: str) -> Iterator[None]:
    """Name the step in what the converters have against it."""
    try:
        yield
    except Unsupported as error:
        raise NoConverter(step, str(error)) from None


def _to_bytes(graph: Graph) -> bytes:
    return bytes(graph.to_model().SerializeToString(deterministic=True))
