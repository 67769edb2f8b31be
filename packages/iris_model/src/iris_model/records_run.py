"""
One pass over records: filter, join labels, write, count.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from iris_model.accuracy import Accuracy, AccuracyTally
from iris_model.artefact import load_artefact
from iris_model.errors import RecordsUnusable
from iris_model.records import Reading, Record, read_records
from iris_model.records_table import open_table
from iris_model.selection import Marks, Selection
from iris_model.truth import open_truth


@dataclass(frozen=True, slots=True)
class Run:
    """
    What came of it.

    Attributes
    ----------
    accuracy : list of Accuracy
        By period and version; empty without labels.
    passed_over : int
        Lines that are no records, and lines that are no labels.
    described : list of str
        What people should know, a line each.
    """

    accuracy: list[Accuracy]
    passed_over: int
    described: list[str]


def run_records(
    source: str,
    selection: Selection,
    target: str | None,
    labels: str | None,
    period: str,
    stream: IO[bytes],
) -> Run:
    """
    Read records once and do with them what is asked.

    Parameters
    ----------
    source : str
        See :func:`iris_model.records.read_records`.
    selection : Selection
        Which records and rows are wanted.
    target : str or None
        Parquet file to write.
    labels : str or None
        File of true labels.
    period : str
        Of the accuracy.
    stream : binary stream
        Gets the wanted records as they are, if there is neither target nor labels.

    Raises
    ------
    ScoringFailed
        If a file cannot be read or written.
    RecordsUnusable
        If nothing that was read is a record.
    """
    manifest = load_artefact().manifest
    reading, tally = Reading(), AccuracyTally(period)
    records = rows = 0
    with ExitStack() as stack:
        truth = labels and stack.enter_context(open_truth(labels, manifest))
        table = target and stack.enter_context(open_table(target, manifest))
        for record in read_records(source, manifest, reading):
            wanted = selection.rows(record, manifest)
            if not wanted.any():
                continue
            records += 1
            rows += int(wanted.sum())
            truths = truth.of_request(record.request_id) if truth else {}
            _count(tally, record, wanted, truths)
            if table:
                table.add(record, wanted, truths)
            elif not truth:
                # Between its fields JSON may have carriage returns, which end a line
                # for others.
                stream.write(record.line.replace(b"\r", b" ") + b"\n")
        check_some(source, reading)
        described = [*reading.describe(), f"{records:,} records, {rows:,} rows wanted"]
        damaged = reading.damaged.total()
        if truth:
            described += truth.describe()
            damaged += truth.damaged
    return Run(tally.result(), damaged, described)


def check_some(source: str, reading: Reading) -> None:
    """Raise RecordsUnusable if there were lines, and none was a record."""
    if reading.lines and reading.damaged.total() == reading.lines:
        reason = reading.damaged.most_common(1)[0][0]
        raise RecordsUnusable(
            source,
            f"none of {reading.lines:,} lines is a record: " f"most are {reason}",
        )


def _count(
    tally: AccuracyTally, record: Record, wanted: Marks, truths: dict[int, str]
) -> None:
    known = [row for row in wanted.nonzero()[0].tolist() if row in truths]
    tally.add(
        record.time,
        record.version,
        [record.labels[row] for row in known],
        [truths[row] for row in known],
    )
