"""
True labels that arrive later, by request id and row.

They are kept in a temporary SQLite file, so that there may be more than fit in memory.
"""

from __future__ import annotations

import csv
import io
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from iris_model.artefact import Manifest
from iris_model.errors import RecordsUnusable
from iris_model.files import BYTE_ORDER_MARK, find_line_files, open_lines

COLUMNS = ("request_id", "row", "label")
# Rows of a request are numbered from 0, as in its answer.
Label = tuple[str, int, str]


@dataclass(slots=True)
class Truth:
    """
    Labels to join.

    Attributes
    ----------
    labels : int
        Labels in the file.
    damaged : int
        Lines that are no label of this model.
    replaced : int
        Labels for a row that had one: the last counts.
    """

    _store: sqlite3.Connection
    labels: int = 0
    damaged: int = 0
    replaced: int = 0

    def of_request(self, request_id: str) -> dict[int, str]:
        """Return the labels of a request by row, and note that it was seen."""
        found = self._store.execute(
            "UPDATE labels SET seen = seen + 1 WHERE request_id = ? "
            "RETURNING row, label",
            (request_id,),
        )
        return dict(found.fetchall())

    def describe(self) -> list[str]:
        """Return what people should know, a line each."""
        never, twice = self._store.execute(
            "SELECT COUNT(*) FILTER (WHERE seen = 0), COUNT(*) FILTER (WHERE seen > 1)"
            " FROM labels"
        ).fetchone()
        counted = {
            "no label: not a request_id, a row from 0 and a class": self.damaged,
            "replaced by a later label of the same row": self.replaced,
            "of no record that was wanted": never,
            "of a request id that several records have": twice,
        }
        lines = [f"{count:>12,}  {what}" for what, count in counted.items() if count]
        return [f"{self.labels:,} labels read", *lines]

    def add(self, label: Label) -> None:
        """Keep a label."""
        self.labels += 1
        known = self._store.execute(
            "SELECT 1 FROM labels WHERE request_id = ? AND row = ?", label[:2]
        ).fetchone()
        self.replaced += known is not None
        self._store.execute("REPLACE INTO labels VALUES (?, ?, ?, 0)", label)


@contextmanager
def open_truth(source: str, manifest: Manifest) -> Iterator[Truth]:
    """
    Read labels, and give them until the block ends.

    Parameters
    ----------
    source : str
        Path or URL of a CSV file with the columns ``request_id``, ``row`` and
        ``label``, or of JSON lines with these fields.
    manifest : Manifest
        Knows the classes.

    Raises
    ------
    ScoringFailed
        If the file cannot be read.
    RecordsUnusable
        If it has not these columns.
    """
    with tempfile.TemporaryDirectory(prefix="iris-model-") as folder:
        store = sqlite3.connect(Path(folder) / "labels", isolation_level=None)
        try:
            # Of this process alone: nothing to keep after a crash.
            store.execute("PRAGMA journal_mode = OFF")
            store.execute("PRAGMA synchronous = OFF")
            store.execute(
                "CREATE TABLE labels (request_id TEXT, row INTEGER, label TEXT, "
                "seen INTEGER, PRIMARY KEY (request_id, row)) WITHOUT ROWID"
            )
            truth = Truth(store)
            for label in _read_labels(source):
                if label is None or label[2] not in manifest.classes:
                    truth.damaged += 1
                else:
                    truth.add(label)
            yield truth
        finally:
            store.close()


def _read_labels(source: str) -> Iterator[Label | None]:
    for file in find_line_files(source):
        with open_lines(file) as stream:
            if ".csv" in file.name.rsplit("/", 1)[-1].lower():
                csv_text = io.TextIOWrapper(
                    stream, "utf-8-sig", errors="replace", newline=""
                )
                yield from _read_csv(csv_text, file.name)
            else:
                for line in stream:
                    if text := line.removeprefix(BYTE_ORDER_MARK).strip():
                        yield _parse_line(text)


def _read_csv(text: io.TextIOWrapper, name: str) -> Iterator[Label | None]:
    rows = csv.reader(text)
    header = _next_row(rows) or []
    if any(header.count(column) != 1 for column in COLUMNS):
        reason = f"needs once each {', '.join(COLUMNS)}"
        raise RecordsUnusable(name, reason)
    while (row := _next_row(rows)) != []:
        yield _parse_row(header, row)


def _next_row(rows: Iterator[list[str]]) -> list[str] | None:
    """Return the next row that is not blank, [] at the end; None for one too long."""
    try:
        return next((row for row in rows if not _is_blank(row)), [])
    except csv.Error:  # a field of more than 128 KiB
        return None


def _is_blank(row: list[str]) -> bool:
    return len(row) < 2 and not "".join(row).strip()


def _parse_row(header: list[str], row: list[str] | None) -> Label | None:
    if row is None or len(row) != len(header):
        return None
    fields: dict[str, Any] = dict(zip(header, row, strict=True))
    place = fields["row"]
    # Python's int takes more than a CSV file should hold, and not all that is there.
    is_number = place.isascii() and place.isdigit() and len(place) < 20
    return _label(fields | {"row": int(place) if is_number else None})


def _parse_line(line: bytes) -> Label | None:
    try:
        return _label(orjson.loads(line))
    except orjson.JSONDecodeError:
        return None


def _label(fields: Any) -> Label | None:
    if not isinstance(fields, dict):
        return None
    request_id, row, label = (fields.get(name) for name in COLUMNS)
    if type(row) is not int or not 0 <= row < 2**31:
        return None
    if not (isinstance(request_id, str) and isinstance(label, str)):
        return None
    return request_id, row, label
