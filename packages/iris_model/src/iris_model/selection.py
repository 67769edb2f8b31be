"""
Which records, and which of their rows, are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from iris_model.artefact import Manifest
from iris_model.errors import RecordsUnusable
from iris_model.records import Record

Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Selection:
    """
    What all rows that are wanted have in common; None asks for nothing.

    Attributes
    ----------
    since, until : datetime or None
        From the first, and before the second.
    out_of_range : bool
        Only rows with a value outside the training range of the installed model.
    """

    since: datetime | None = None
    until: datetime | None = None
    version: str | None = None
    label: str | None = None
    request_id: str | None = None
    out_of_range: bool = False

    def takes(self, record: Record) -> bool:
        """Return whether a record is wanted, its rows not looked at."""
        return (
            (self.since is None or record.time >= self.since)
            and (self.until is None or record.time < self.until)
            and self.version in (None, record.version)
            and self.request_id in (None, record.request_id)
        )

    def rows(self, record: Record, manifest: Manifest) -> Marks:
        """Return which rows of a record are wanted, shape (n,)."""
        if not self.takes(record):
            return np.zeros(len(record.labels), dtype=np.bool_)
        wanted = np.ones(len(record.labels), dtype=np.bool_)
        if self.label is not None:
            wanted &= np.array([label == self.label for label in record.labels])
        if self.out_of_range:
            wanted &= outside(record, manifest).any(axis=1)
        return wanted


def outside(record: Record, manifest: Manifest) -> Marks:
    """
    Return which values lie outside the training range, shape (n, features).

    None of those that are not on record.
    """
    if record.matrix is None:
        return np.zeros((len(record.labels), len(manifest.features)), dtype=np.bool_)
    lowest = np.array([feature.minimum for feature in manifest.features])
    highest = np.array([feature.maximum for feature in manifest.features])
    marks: Marks = (record.matrix < lowest) | (record.matrix > highest)
    return marks


def parse_moment(text: str) -> datetime:
    """
    Return a day or a time in ISO 8601; in UTC unless it says otherwise.

    Raises
    ------
    RecordsUnusable
        If it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
        # Beyond the years 1 to 9999 there is no such moment in UTC.
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        reason = "is no time; write 2026-11-25 or 2026-11-25T13:00:00Z"
        raise RecordsUnusable(repr(text), reason) from None
