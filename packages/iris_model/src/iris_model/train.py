"""
Train: cross-validate, fit, compile, prove parity and quality, save.

An artefact is written only after every gate has passed.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from iris_model import __version__
from iris_model.artefact import (
    FORMAT,
    MODEL,
    PIPELINE,
    TRAINING_LIBRARIES,
    Face,
    Feature,
    GoldenRow,
    Histogram,
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
from iris_model.card import CARD, build_card
from iris_model.compile import compile_pipeline, text_features
from iris_model.config import CardConfig, Config
from iris_model.data import Table, load_table
from iris_model.errors import ConfigError
from iris_model.model import IrisModel
from iris_model.parity import check_parity
from iris_model.pipeline import build_pipeline
from iris_model.quality import (
    CrossValidation,
    Progress,
    check_quality,
    cross_validate,
    measure,
)
from iris_model.reference import Reference, build_reference
from iris_model.release import check_not_worse, check_version, newest_published

HISTOGRAM_BINS = 10
GOLDEN_ROWS_PER_CLASS = 3


@dataclass(frozen=True, slots=True)
class Training:
    """What training found: the artefact's manifest and what reports draw from."""

    config: Config
    table: Table
    manifest: Manifest
    pipeline: Pipeline
    cross_validation: CrossValidation


def train(
    config: Config, output: Path, progress: Progress, shelf: Path | None = None
) -> Training:
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
    shelf : Path, optional
        Folder of published wheels: the new model must not be worse than the newest
        of them and must be numbered by how it differs.

    Returns
    -------
    Training

    Raises
    ------
    ConfigError, TableError
        If there is nothing sound to train from.
    NoConverter, ParityBroken, QualityTooLow, WorseThanPublished, VersionTooSmall
        If a gate is red.
    """
    if config.card is None:
        reason = "say what the model is for and what its limits are"
        raise ConfigError(str(config.file), 1, "card", reason)
    published = newest_published(shelf, __version__) if shelf else None
    table = load_table(config)
    pipeline = build_pipeline(config)
    cross_validation = cross_validate(config, pipeline, table, progress)
    metrics = measure(config, cross_validation)
    check_quality(config, metrics)
    if published:
        check_not_worse(config, table, cross_validation, published)
    pipeline.fit(table.rows, table.labels)
    model_bytes = compile_pipeline(pipeline, text_features(table.rows))
    parity = check_parity(pipeline, model_bytes, table, config.seed)
    pipeline_bytes = dump_pipeline(pipeline)
    manifest = build_manifest(
        config,
        config.card,
        table,
        pipeline,
        metrics,
        parity,
        _refer(config, table, cross_validation),
        model_bytes,
        pipeline_bytes,
    )
    if published:
        check_version(manifest, model_bytes, table, published)
    save_artefact(output, manifest, model_bytes, pipeline_bytes)
    (output / CARD).write_text(build_card(manifest), encoding="utf-8")
    IrisModel(load_artefact(output))  # what was written answers its golden rows
    return Training(config, table, manifest, pipeline, cross_validation)


def build_manifest(
    config: Config,
    card: CardConfig,
    table: Table,
    pipeline: Pipeline,
    metrics: Metrics,
    parity: Parity,
    reference: Reference,
    model_bytes: bytes,
    pipeline_bytes: bytes,
) -> Manifest:
    """Return the manifest of a trained pipeline; holds no time and no path."""
    fields: dict[str, object] = {
        "format": FORMAT,
        "digest": "0" * 64,
        "model_name": __name__.partition(".")[0],
        "model_version": __version__,
        "purpose": card.purpose,
        "limits": card.limits,
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
        "reference": reference.model_dump(),
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


def _refer(config: Config, table: Table, validation: CrossValidation) -> Reference:
    matrix, classes = table.rows.to_numpy(), validation.classes.tolist()
    # One repeat: the others answer the same rows, and would seem to be more of them.
    answers = validation.probabilities[0]
    return build_reference(matrix, config.feature_names, classes, answers)


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
