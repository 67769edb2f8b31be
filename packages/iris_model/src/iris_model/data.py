"""
Read the training table. The only module that reads CSV for training.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd

from iris_model.config import Config
from iris_model.errors import TableError


@dataclass(frozen=True, slots=True)
class Table:
    """
    Measurements and their labels.

    Attributes
    ----------
    rows : DataFrame
        float64, shape (n, features), columns in the order of the configuration.
    labels : Series
        Class names, length n.
    sha256 : str
        Digest of the file's bytes.
    """

    rows: pd.DataFrame
    labels: pd.Series
    sha256: str


def load_table(config: Config) -> Table:
    """
    Read and check the table that a configuration names.

    Parameters
    ----------
    config : Config
        Names the file in ``datasets/`` beside the configuration file.

    Returns
    -------
    Table

    Raises
    ------
    TableError
        If the file is missing, its digest differs, a column is missing or
        surplus, a measurement is not a finite number, or a class is too rare
        to be in every fold.
    """
    path = config.file.parent / "datasets" / config.table.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TableError(str(path), error.strerror or "cannot be read") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != config.table.sha256:
        reason = f"sha256 is {digest}; config.yml says {config.table.sha256}"
        raise TableError(str(path), reason)
    try:
        frame = pd.read_csv(io.BytesIO(content), dtype={config.table.target: str})
    except ValueError as error:
        raise TableError(str(path), f"not a CSV table: {error}") from None
    _check_columns(frame, config, str(path))
    rows = frame[list(config.feature_names)]
    labels = frame[config.table.target]
    _check_rows(rows, labels, config, str(path))
    return Table(rows.astype(np.float64), labels.astype(object), digest)


def _check_columns(frame: pd.DataFrame, config: Config, file: str) -> None:
    wanted = {*config.feature_names, config.table.target}
    found = set(frame.columns)
    for name in sorted(wanted - found):
        raise TableError(file, f"column {name!r} is missing")
    for name in sorted(found - wanted):
        raise TableError(file, f"column {name!r} is not in config.yml")


def _check_rows(
    rows: pd.DataFrame, labels: pd.Series, config: Config, file: str
) -> None:
    for name in rows.columns:
        if rows[name].dtype.kind not in "iuf":
            raise TableError(file, f"column {name!r} holds something but numbers")
        if not np.isfinite(rows[name]).all():
            raise TableError(file, f"column {name!r} has missing or infinite values")
    if labels.isna().any():
        raise TableError(file, f"column {config.table.target!r} has missing values")
    counts = labels.value_counts()
    if len(counts) < 2 or counts.min() < config.folds:
        reason = f"each of 2 or more classes needs {config.folds} rows or more"
        raise TableError(file, f"{reason}, found {counts.to_dict()}")
