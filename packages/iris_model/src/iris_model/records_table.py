"""
Rows of records as Parquet: one row for each answer, for DuckDB and its like.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from iris_model.artefact import Manifest
from iris_model.errors import RecordsUnusable
from iris_model.files import find_target, whole_file
from iris_model.records import Record
from iris_model.selection import Marks, outside

# So many are held as Python objects, and so many as columns before they are written.
BATCH_ROWS = 1 << 11
GROUP_ROWS = 1 << 15


def build_schema(manifest: Manifest) -> pa.Schema:
    """Return the columns: of the request, the row, the answer and the truth."""
    text, number = pa.string(), pa.float64()
    features = [pa.field(name, number) for name in manifest.feature_names]
    shares = [pa.field(f"probability_{name}", number) for name in manifest.classes]
    return pa.schema(
        [
            pa.field("request_id", text),
            pa.field("row", pa.int32()),
            pa.field("time", pa.timestamp("ms", tz="UTC")),
            pa.field("version", text),
            pa.field("client", text),
            pa.field("traceparent", text),
            pa.field("duration_ms", number),
            *features,
            pa.field("input_hash", text),
            pa.field("out_of_range", text),
            pa.field("label", text),
            *shares,
            pa.field("true_label", text),
        ]
    )


class RecordsWriter:
    """Write rows in groups; see :func:`open_table`."""

    def __init__(self, manifest: Manifest, writer: pq.ParquetWriter) -> None:
        self._manifest = manifest
        self._writer = writer
        self._schema = writer.schema
        self._rows: list[dict[str, Any]] = []
        self._batches: list[pa.Table] = []

    def add(self, record: Record, wanted: Marks, truths: dict[int, str]) -> None:
        """Write the wanted rows of a record; ``truths`` are labels by row."""
        names = self._manifest.feature_names
        shares = [f"probability_{name}" for name in self._manifest.classes]
        marks = outside(record, self._manifest)
        for row in wanted.nonzero()[0].tolist():
            cells = (
                {} if record.matrix is None else dict(zip(names, record.matrix[row]))
            )
            found = [name for name, mark in zip(names, marks[row]) if mark]
            self._rows.append(
                {
                    "request_id": record.request_id,
                    "row": row,
                    "time": record.time,
                    "version": record.version,
                    "client": record.client,
                    "traceparent": record.traceparent,
                    "duration_ms": record.duration_ms,
                    "input_hash": None if record.hashes is None else record.hashes[row],
                    "out_of_range": ";".join(found),
                    "label": record.labels[row],
                    "true_label": truths.get(row),
                    **cells,
                    **dict(zip(shares, record.probabilities[row])),
                }
            )
        if len(self._rows) >= BATCH_ROWS:
            self._pack()
        if len(self._batches) * BATCH_ROWS >= GROUP_ROWS:
            self.flush()

    def _pack(self) -> None:
        self._batches.append(pa.Table.from_pylist(self._rows, self._schema))
        self._rows.clear()

    def flush(self) -> None:
        """Write what waits."""
        self._pack()
        self._writer.write_table(pa.concat_tables(self._batches))
        self._batches.clear()


@contextmanager
def open_table(target: str, manifest: Manifest) -> Iterator[RecordsWriter]:
    """
    Give a table to fill that is there whole once the block ends well, or not at all.

    Parameters
    ----------
    target : str
        Path or URL of a Parquet file that is not there yet.

    Raises
    ------
    RecordsUnusable
        If the name is not that of a Parquet file.
    ScoringFailed
        If it is there already or cannot be written.
    """
    file = find_target(target)
    if file.format != "parquet":
        raise RecordsUnusable(file.name, "the name must end in .parquet")
    with (
        whole_file(file) as stream,
        pq.ParquetWriter(stream, build_schema(manifest), compression="zstd") as writer,
    ):
        table = RecordsWriter(manifest, writer)
        yield table
        table.flush()
