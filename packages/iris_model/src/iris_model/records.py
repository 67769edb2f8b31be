"""
Read what the API has put on record: one JSON line a request, as many as there are.

Lines that are no records are counted and passed over: a full disk cuts lines short.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any

import numpy as np
import orjson

from iris_model.artefact import Manifest
from iris_model.files import BYTE_ORDER_MARK, File, find_line_files, open_lines
from iris_model.validation import Matrix

# Well above the longest that the API writes, for 1,000 rows.
LONGEST_LINE = 4 << 20

NO_JSON = "no JSON object, or cut short"
TOO_LONG = f"longer than {LONGEST_LINE >> 20} MiB"
NO_RECORD = "JSON, but no record"
OTHER_MODEL = "of a model with another name, other features or classes"


@dataclass(frozen=True, slots=True)
class Record:
    """
    One request and its answers.

    Attributes
    ----------
    line : bytes
        As it was read, without its end.
    time : datetime
        In UTC.
    matrix : ndarray of float64, shape (n, features), or None
        The rows, in the manifest's order; None when their values are not on record.
    hashes : list of str or None
        What is on record in their place.
    labels : list of str
    probabilities : ndarray of float64, shape (n, classes)
        In the manifest's order.
    """

    line: bytes
    request_id: str
    time: datetime
    version: str
    matrix: Matrix | None
    hashes: list[str] | None
    labels: list[str]
    probabilities: Matrix
    duration_ms: float
    client: str | None
    traceparent: str | None


class DamagedLine(ValueError):
    """Raised when a line is no record of this model; its text is the reason."""


@dataclass(slots=True)
class Reading:
    """
    What was read so far.

    Attributes
    ----------
    lines : int
        All but blank ones.
    damaged : Counter of str
        Lines passed over, by reason.
    first : str
        Where the first of them is; empty when there is none.
    """

    lines: int = 0
    damaged: Counter[str] = field(default_factory=Counter)
    first: str = ""

    def describe(self) -> list[str]:
        """Return what people should know, a line each."""
        found = [f"{self.lines:,} lines read"]
        for reason, count in self.damaged.most_common():
            found.append(f"{count:>12,}  passed over: {reason}")
        return found + ([f"first at {self.first}"] if self.first else [])


def read_records(source: str, manifest: Manifest, reading: Reading) -> Iterator[Record]:
    """
    Yield records in the order of the lines, holding one at a time.

    Parameters
    ----------
    source : str
        Path or URL of a file, a folder or a pattern; ``-`` for standard input.
    manifest : Manifest
        Of the model whose records these are.
    reading : Reading
        Counts what is read.

    Raises
    ------
    ScoringFailed
        If a file cannot be read.
    """
    for name, opened in _open(source):
        with opened as stream:
            for number, line in enumerate(_split(stream), 1):
                if line == b"":
                    continue
                reading.lines += 1
                try:
                    yield parse_record(line, manifest)
                except DamagedLine as error:
                    reading.damaged[str(error)] += 1
                    reading.first = reading.first or f"{name}, line {number:,}"


def _open(source: str) -> Iterator[tuple[str, Any]]:
    if source == "-":
        yield "standard input", nullcontext(sys.stdin.buffer)
        return
    files: list[File] = find_line_files(source)
    for file in files:
        yield file.name, open_lines(file)


def _split(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Yield lines without their ends; None for one that is too long to hold."""
    while line := stream.readline(LONGEST_LINE + 1):
        if len(line) <= LONGEST_LINE or line.endswith(b"\n"):
            yield line.removeprefix(BYTE_ORDER_MARK).strip()
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST_LINE)
        yield None


def parse_record(line: bytes | None, manifest: Manifest) -> Record:
    """
    Return the record in a line.

    Raises
    ------
    DamagedLine
        If it is none, or one of another model.
    """
    if line is None:
        raise DamagedLine(TOO_LONG)
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise DamagedLine(NO_JSON) from None
    if not isinstance(fields, dict):
        raise DamagedLine(NO_JSON)
    try:
        return _build(line, fields, manifest)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, DamagedLine):
            raise
        raise DamagedLine(NO_RECORD) from None


def _build(line: bytes, fields: dict[str, Any], manifest: Manifest) -> Record:
    if fields["model"]["name"] != manifest.model_name:
        raise DamagedLine(OTHER_MODEL)
    labels, inputs = fields["labels"], fields["inputs"]
    if not labels or not len(labels) == len(inputs) == len(fields["probabilities"]):
        raise ValueError
    if not set(labels) <= set(manifest.classes):
        raise DamagedLine(OTHER_MODEL)
    hashed = isinstance(inputs[0], str)
    return Record(
        line=line,
        request_id=_text(fields["request_id"]),
        time=_parse_time(fields["time"]),
        version=_text(fields["model"]["version"]),
        matrix=None if hashed else _parse_matrix(inputs, manifest.feature_names),
        hashes=[_text(one) for one in inputs] if hashed else None,
        labels=labels,
        probabilities=_parse_matrix(fields["probabilities"], tuple(manifest.classes)),
        duration_ms=float(fields["duration_ms"]),
        client=None if fields.get("client") is None else _text(fields["client"]),
        traceparent=fields.get("traceparent") and _text(fields["traceparent"]),
    )


def _parse_matrix(rows: list[dict[str, Any]], names: tuple[str, ...]) -> Matrix:
    if any(set(row) != set(names) for row in rows):
        raise DamagedLine(OTHER_MODEL)
    values = [[row[name] for name in names] for row in rows]
    if not all(type(one) in (int, float) for row in values for one in row):
        raise ValueError
    matrix = np.array(values, dtype=np.float64)
    if not np.isfinite(matrix).all():
        raise ValueError
    return matrix


def _parse_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError
    return time.astimezone(UTC)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
