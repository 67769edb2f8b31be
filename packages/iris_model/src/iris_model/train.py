"""
Train: cross-validate, fit, compile, prove parity and quality, save.

An artefact is written only after every gate has passed.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import Pipeline

from iris_model import __version__
from iris_model.artefact import (
    FORMAT,
    MODEL,
    PIPELINE,
    TRAINING_LIBRARIES,
    ClassMetrics,
    Face,
    Feature,
    GoldenRow,
    Histogram,
    Interval,
    Manifest,
    Metrics,
    Parity,
    digest_bytes,
    digest_manifest,
    dump_pipeline,
    library_versions,
    load_artefact,
    save_artefact,
)
from iris_model.compile import compile_pipeline, text_features
from iris_model.config import Config
from iris_model.data import Table, load_table
from iris_model.errors import QualityTooLow
from iris_model.model import IrisModel
from iris_model.parity import check_parity, compare_faces
from iris_model.pipeline import build_pipeline

__all__ = [
    "CrossValidation",
    "Training",
    "build_manifest",
    "check_parity",
    "check_quality",
    "compare_faces",
    "cross_validate",
    "digest_source",
    "measure",
    "train",
]

HISTOGRAM_BINS = 10
GOLDEN_ROWS_PER_CLASS = 3

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """
    Out-of-fold answers.

    Attributes
    ----------
    probabilities : ndarray of float64, shape (repeats, n, classes)
        The answer to each row by a pipeline that has not seen it.
    labels : ndarray of str, shape (n,)
        The truth.
    classes : ndarray of str, shape (classes,)
        Order of the last axis of ``probabilities``.
    """

    probabilities: npt.NDArray[np.float64]
    labels: npt.NDArray[np.str_]
    classes: npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Training:
    """What training found: the artefact's manifest and what reports draw from."""

    manifest: Manifest
    pipeline: Pipeline
    cross_validation: CrossValidation


def train(config: Config, output: Path, progress: Progress) -> Training:
    """
    Train the model a configuration describes and write its artefact.

    Parameters
    ----------
    config : Config
        What to learn from what, and the quality to reach.
    output : Path
        Folder for the artefact; untouched unless every gate passes.
    progress : callable
        Called with folds done and folds in all.

    Returns
    -------
    Training

    Raises
    ------
    ConfigError, TableError
        If there is nothing sound to train from.
    NoConverter, ParityBroken, QualityTooLow
        If a gate is red.
    """
    table = load_table(config)
    pipeline = build_pipeline(config)
    cross_validation = cross_validate(config, pipeline, table, progress)
    metrics = measure(config, cross_validation)
    check_quality(config, metrics)
    pipeline.fit(table.rows, table.labels)
    model_bytes = compile_pipeline(pipeline, text_features(table.rows))
    parity = check_parity(pipeline, model_bytes, table, config.seed)
    pipeline_bytes = dump_pipeline(pipeline)
    manifest = build_manifest(
        config, table, pipeline, metrics, parity, model_bytes, pipeline_bytes
    )
    save_artefact(output, manifest, model_bytes, pipeline_bytes)
    IrisModel(load_artefact(output))  # what was written answers its golden rows
    return Training(manifest, pipeline, cross_validation)


def cross_validate(
    config: Config, pipeline: Pipeline, table: Table, progress: Progress
) -> CrossValidation:
    """Return out-of-fold probabilities of repeated stratified cross-validation."""
    classes = np.array(sorted(set(table.labels)), dtype=str)
    found = np.empty((config.repeats, len(table.rows), len(classes)))
    folds = RepeatedStratifiedKFold(
        n_splits=config.folds, n_repeats=config.repeats, random_state=config.seed
    )
    total = config.folds * config.repeats
    for done, (seen, unseen) in enumerate(folds.split(table.rows, table.labels)):
        progress(done, total)
        fitted = clone(pipeline).fit(table.rows.iloc[seen], table.labels.iloc[seen])
        answer = fitted.predict_proba(table.rows.iloc[unseen])
        found[done // config.folds, unseen] = answer
    progress(total, total)
    return CrossValidation(found, table.labels.to_numpy(dtype=str), classes)


def measure(config: Config, validation: CrossValidation) -> Metrics:
    """Return scores over the repeats of a cross-validation."""
    labels, classes = validation.labels, validation.classes
    predicted = classes[validation.probabilities.argmax(axis=2)]
    repeats = len(predicted)
    every_label, every_answer = np.tile(labels, repeats), predicted.ravel()
    precision, recall, f1, support = precision_recall_fscore_support(
        every_label, every_answer, labels=classes, zero_division=0.0
    )
    confusion = confusion_matrix(every_label, every_answer, labels=classes) / repeats
    return Metrics(
        folds=config.folds,
        repeats=config.repeats,
        accuracy=_interval([accuracy_score(labels, p) for p in predicted]),
        macro_f1=_interval([f1_score(labels, p, average="macro") for p in predicted]),
        log_loss=_interval(
            [log_loss(labels, p, labels=classes) for p in validation.probabilities]
        ),
        classes={
            str(name): ClassMetrics(
                precision=float(precision[i]),
                recall=float(recall[i]),
                f1=float(f1[i]),
                rows=int(support[i]) // repeats,
            )
            for i, name in enumerate(classes)
        },
        confusion=confusion.tolist(),
    )


def check_quality(config: Config, metrics: Metrics) -> None:
    """Raise QualityTooLow if a mean misses its floor or ceiling."""
    quality = config.quality
    if not metrics.accuracy.mean >= quality.minimum_accuracy:
        raise QualityTooLow("accuracy", metrics.accuracy.mean, quality.minimum_accuracy)
    if not metrics.macro_f1.mean >= quality.minimum_macro_f1:
        raise QualityTooLow("macro-F1", metrics.macro_f1.mean, quality.minimum_macro_f1)
    if not metrics.log_loss.mean <= quality.maximum_log_loss:
        raise QualityTooLow("log-loss", metrics.log_loss.mean, quality.maximum_log_loss)


def build_manifest(
    config: Config,
    table: Table,
    pipeline: Pipeline,
    metrics: Metrics,
    parity: Parity,
    model_bytes: bytes,
    pipeline_bytes: bytes,
) -> Manifest:
    """Return the manifest of a trained pipeline; holds no time and no path."""
    fields: dict[str, object] = {
        "format": FORMAT,
        "digest": "0" * 64,
        "model_name": __name__.partition(".")[0],
        "model_version": __version__,
        "faces": {MODEL: _face(model_bytes), PIPELINE: _face(pipeline_bytes)},
        "table": config.table.file,
        "table_sha256": table.sha256,
        "table_rows": len(table.rows),
        "config_sha256": config.sha256,
        "source_sha256": digest_source(),
        "seed": config.seed,
        "python": platform.python_version(),
        "libraries": library_versions(TRAINING_LIBRARIES),
        "target": config.table.target,
        "features": [
            _feature(feature.name, feature.unit, table.rows[feature.name].to_numpy())
            for feature in config.features
        ],
        "classes": [str(name) for name in pipeline.classes_],
        "class_counts": {
            str(name): int((table.labels == name).sum()) for name in pipeline.classes_
        },
        "steps": [f"{name}: {type(step).__name__}" for name, step in pipeline.steps],
        "metrics": metrics.model_dump(),
        "parity": parity.model_dump(),
        "golden_rows": [row.model_dump() for row in _golden_rows(pipeline, table)],
    }
    fields["digest"] = digest_manifest(fields)
    return Manifest.model_validate(fields)


def digest_source() -> str:
    """Return one digest over all Python files of this package."""
    root = Path(__file__).parent
    lines = [
        f"{digest_bytes(path.read_bytes())}  {path.relative_to(root).as_posix()}\n"
        for path in sorted(root.rglob("*.py"))
    ]
    return digest_bytes("".join(lines).encode())


def _face(content: bytes) -> dict[str, object]:
    return Face(sha256=digest_bytes(content), size_bytes=len(content)).model_dump()


def _feature(
    name: str, unit: str, values: npt.NDArray[np.float64]
) -> dict[str, object]:
    counts, edges = np.histogram(values, bins=HISTOGRAM_BINS)
    return Feature(
        name=name,
        unit=unit,
        minimum=float(values.min()),
        maximum=float(values.max()),
        histogram=Histogram(edges=edges.tolist(), counts=counts.tolist()),
    ).model_dump()


def _golden_rows(pipeline: Pipeline, table: Table) -> list[GoldenRow]:
    """Answer a few rows of each class, evenly spread over the table."""
    places: list[int] = []
    for name in pipeline.classes_:
        of_class = np.flatnonzero((table.labels == name).to_numpy())
        spread = np.linspace(0, len(of_class) - 1, GOLDEN_ROWS_PER_CLASS).astype(int)
        places.extend(of_class[spread].tolist())
    rows = table.rows.iloc[places]
    answers = pipeline.predict_proba(rows)
    return [
        GoldenRow(
            values=row.tolist(),
            label=str(pipeline.classes_[answer.argmax()]),
            probabilities=answer.tolist(),
        )
        for row, answer in zip(rows.to_numpy(), answers, strict=True)
    ]


def _interval(scores: list[float]) -> Interval:
    spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
    return Interval(mean=float(np.mean(scores)), standard_deviation=spread)
