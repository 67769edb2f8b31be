"""
Hold a new model against the newest published one: not worse, and honestly numbered.

Semantic versioning for models: major when the input or the answer changes shape,
minor when answers may differ, patch when they are identical.
"""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from scipy import stats

from iris_model.artefact import MANIFEST, MODEL, Manifest
from iris_model.compile import INPUT, PROBABILITIES
from iris_model.config import Config, parse_config
from iris_model.data import Table
from iris_model.errors import VersionTooSmall, WorseThanPublished
from iris_model.parity import random_rows
from iris_model.pipeline import build_pipeline
from iris_model.quality import CrossValidation, cross_validate, fold_losses
from iris_model.validation import Matrix

# A model that is as good is refused wrongly one time in twenty.
ALPHA = 0.05
# Answers this close are the same answers.
SAME = 1e-9
COMPARED_ROWS = 10_000

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Published:
    """
    What a published wheel says: its version, manifest, configuration and model.

    ``manifest`` is plain JSON, because a wheel may be of an older format.
    """

    version: Version
    manifest: dict[str, Any]
    config: Config
    model_bytes: bytes

    @property
    def name(self) -> str:
        """The version as text."""
        return _text(self.version)


def newest_published(shelf: Path, version: str) -> Published | None:
    """
    Return the newest wheel of a folder that is not newer than a version, if any.

    Parameters
    ----------
    shelf : Path
        Folder of wheels of this package.
    version : str
        That of the model being trained; an old one may be built again.
    """
    found = {
        parse_version(match.group(1)): wheel
        for wheel in shelf.glob("*.whl")
        if (match := re.match(r"[a-z0-9_]+-(\d+\.\d+\.\d+)-", wheel.name))
    }
    older = [number for number in found if number <= parse_version(version)]
    if not older:
        return None
    wheel = found[max(older)]
    with zipfile.ZipFile(wheel) as archive:
        package = next(n for n in archive.namelist() if n.endswith(f"/{MANIFEST}"))
        root = package.partition("/")[0]
        trained = package.removesuffix(MANIFEST)
        return Published(
            version=max(older),
            manifest=json.loads(archive.read(package)),
            config=parse_config(archive.read(f"{root}/config.yml"), wheel),
            model_bytes=archive.read(f"{trained}{MODEL}"),
        )


def check_not_worse(
    config: Config, table: Table, validation: CrossValidation, published: Published
) -> None:
    """
    Raise WorseThanPublished if the new model is worse beyond chance.

    Both are cross-validated on the same folds; the test is Student's on the paired
    differences of log-loss, its variance corrected for overlapping training sets
    (Nadeau and Bengio, 2003). A published model of another table or other features
    has no common folds and is not compared.

    Parameters
    ----------
    config, table, validation
        Of the new model.
    published : Published
        Its configuration is cross-validated here with this version's code.
    """
    same_table = published.config.table == config.table
    if not same_table or published.config.feature_names != config.feature_names:
        return
    other = cross_validate(
        config, build_pipeline(published.config), table, lambda done, total: None
    )
    difference = fold_losses(config, table, validation)
    difference -= fold_losses(config, table, other)
    p_value = corrected_p_value(difference, config.folds)
    if p_value < ALPHA:
        raise WorseThanPublished(published.name, float(difference.mean()), p_value)


def corrected_p_value(difference: Matrix, folds: int) -> float:
    """
    Return the one-sided p-value that a mean paired difference is above zero.

    Parameters
    ----------
    difference : ndarray of float64, shape (folds x repeats,)
    folds : int
        Folds of one repeat; the test share is 1 / folds.
    """
    variance = difference.var(ddof=1) * (1 / len(difference) + 1 / (folds - 1))
    if variance == 0.0:
        return 0.0 if difference.mean() > 0 else 1.0
    statistic = difference.mean() / np.sqrt(variance)
    return float(stats.t.sf(statistic, df=len(difference) - 1))


def check_version(
    manifest: Manifest, model_bytes: bytes, table: Table, published: Published
) -> None:
    """
    Raise VersionTooSmall unless the version says how much has changed.

    Answers are compared on the table and on 10,000 random rows around its range.
    """
    version = parse_version(manifest.model_version)
    major, minor, _ = published.version
    if contract_of(manifest.model_dump()) != contract_of(published.manifest):
        change, least = "input or answer changed", (major + 1, 0, 0)
    elif not same_answers(model_bytes, published.model_bytes, table, manifest.seed):
        change, least = "answers changed", (major, minor + 1, 0)
    else:
        return
    if version < least:
        raise VersionTooSmall(_text(version), published.name, change, _text(least))


def contract_of(manifest: dict[str, Any]) -> tuple[object, ...]:
    """Return what a client relies on: features with units, and classes, in order."""
    features = [(feature["name"], feature["unit"]) for feature in manifest["features"]]
    return features, manifest["classes"]


def same_answers(model: bytes, other: bytes, table: Table, seed: int) -> bool:
    """Return whether two compiled models of one contract answer alike."""
    matrix = table.rows.to_numpy()
    rows = np.vstack([matrix, random_rows(matrix, COMPARED_ROWS, seed)])
    mine, others = (
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(
            [PROBABILITIES], {INPUT: rows}
        )[0]
        for content in (model, other)
    )
    return bool(np.allclose(mine, others, rtol=0.0, atol=SAME, equal_nan=True))


def parse_version(text: str) -> Version:
    """Return a version such as ``1.2.0`` as numbers."""
    major, minor, patch = (int(part) for part in text.split("."))
    return major, minor, patch


def _text(version: Version) -> str:
    return ".".join(str(part) for part in version)
