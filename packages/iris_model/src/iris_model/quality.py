"""
Measure a pipeline by repeated cross-validation, and hold the scores to their floors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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

from iris_model.artefact import ClassMetrics, Interval, Metrics
from iris_model.config import Config
from iris_model.data import Table
from iris_model.errors import QualityTooLow

Progress = Callable[[int, int], None]
Places = npt.NDArray[np.intp]


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


def cross_validate(
    config: Config, pipeline: Pipeline, table: Table, progress: Progress
) -> CrossValidation:
    """Return out-of-fold probabilities of repeated stratified cross-validation."""
    classes = np.array(sorted(set(table.labels)), dtype=str)
    found = np.empty((config.repeats, len(table.rows), len(classes)))
    total = config.folds * config.repeats
    for done, (seen, unseen) in enumerate(split_folds(config, table)):
        progress(done, total)
        fitted = clone(pipeline).fit(table.rows.iloc[seen], table.labels.iloc[seen])
        answer = fitted.predict_proba(table.rows.iloc[unseen])
        found[done // config.folds, unseen] = answer
    progress(total, total)
    return CrossValidation(found, table.labels.to_numpy(dtype=str), classes)


def split_folds(config: Config, table: Table) -> Iterator[tuple[Places, Places]]:
    """Yield row numbers to learn from and to ask, the same for every pipeline."""
    folds = RepeatedStratifiedKFold(
        n_splits=config.folds, n_repeats=config.repeats, random_state=config.seed
    )
    yield from folds.split(table.rows, table.labels)


def fold_losses(
    config: Config, table: Table, validation: CrossValidation
) -> npt.NDArray[np.float64]:
    """
    Return the log-loss in each fold, shape (folds x repeats,).

    Two pipelines cross-validated with one configuration's folds pair up by place.
    """
    found = []
    for done, (_, unseen) in enumerate(split_folds(config, table)):
        answer = validation.probabilities[done // config.folds, unseen]
        truth = validation.labels[unseen]
        found.append(log_loss(truth, answer, labels=validation.classes))
    return np.array(found)


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


def _interval(scores: list[float]) -> Interval:
    spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
    return Interval(mean=float(np.mean(scores)), standard_deviation=spread)
