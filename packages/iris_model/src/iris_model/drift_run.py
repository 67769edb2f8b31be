"""
One pass over records: what they hold is counted, then compared with the reference.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from iris_model.artefact import Manifest, load_artefact
from iris_model.drift import FALSE_ALARMS, LARGE, LEAST_ROWS, Comparison, Distances
from iris_model.drift_tally import DriftTally
from iris_model.records import Reading, Record, read_records
from iris_model.records_run import check_some
from iris_model.selection import Selection

# Rows that are counted together.
BATCH_ROWS = 4096


@dataclass(slots=True)
class Seen:
    """
    Which records were compared.

    Attributes
    ----------
    hashed : int
        Rows whose values are not on record.
    left_out : Counter of str
        Rows by version whose answers were not compared, because the reference tells
        nothing of what that version would have answered.
    """

    requests: int = 0
    rows: int = 0
    hashed: int = 0
    first: datetime | None = None
    last: datetime | None = None
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Drift:
    """
    What `iris-model drift` found.

    Attributes
    ----------
    comparisons : list of Comparison
        Those that may alarm.
    within : dict of str to dict of str to Distances
        By class, then by feature; none of them alarms.
    """

    model_version: str
    table_rows: int
    seen: Seen
    reading: Reading
    comparisons: list[Comparison]
    within: dict[str, dict[str, Distances]]

    @property
    def exit_code(self) -> int:
        """1 on an alarm, else 2 if anything had too few rows, else 0."""
        states = {one.state for one in self.comparisons}
        return 1 if "alarm" in states else 2 if "too few rows" in states else 0

    def as_json(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        seen = asdict(self.seen)
        for name in ("first", "last"):
            seen[name] = seen[name] and seen[name].isoformat()
        return {
            "format": 1,
            "model_version": self.model_version,
            "table_rows": self.table_rows,
            "state": ("no alarm", "alarm", "too few rows")[self.exit_code],
            "rule": {
                "measure": "lower bound of psi",
                "above": LARGE,
                "least_rows": LEAST_ROWS,
                "false_alarms_of_a_run": FALSE_ALARMS,
                "comparisons": len(self.comparisons),
            },
            "records": seen,
            "lines": {"read": self.reading.lines, "passed_over": self.reading.damaged},
            "comparisons": [
                {
                    "name": one.name,
                    "state": one.state,
                    "psi_low": one.psi_low,
                    **asdict(one.distances),
                }
                for one in self.comparisons
            ],
            "within": {
                label: {name: asdict(found) for name, found in inner.items()}
                for label, inner in self.within.items()
            },
        }


def measure_drift(source: str, selection: Selection) -> Drift:
    """
    Compare records with the training table of the installed model.

    Parameters
    ----------
    source : str
        See :func:`iris_model.records.read_records`.
    selection : Selection
        Which records are wanted. A version named here has its answers compared too.

    Raises
    ------
    ScoringFailed
        If a file cannot be read.
    RecordsUnusable
        If nothing that was read is a record, or the model has no reference.
    """
    manifest = load_artefact().manifest
    tally, reading, seen = DriftTally(manifest), Reading(), Seen()
    compared = selection.version or manifest.model_version
    batch: list[Record] = []
    waiting = 0
    for record in read_records(source, manifest, reading):
        if not selection.takes(record):
            continue
        _note(seen, record, compared)
        batch.append(record)
        waiting += len(record.labels)
        if waiting >= BATCH_ROWS:
            _count(tally, batch, manifest, compared)
            batch, waiting = [], 0
    _count(tally, batch, manifest, compared)
    check_some(source, reading)
    return Drift(
        manifest.model_version,
        manifest.table_rows,
        seen,
        reading,
        tally.compare(),
        tally.compare_within(),
    )


def _note(seen: Seen, record: Record, compared: str) -> None:
    rows = len(record.labels)
    seen.requests += 1
    seen.rows += rows
    seen.first = min(seen.first or record.time, record.time)
    seen.last = max(seen.last or record.time, record.time)
    if record.matrix is None:
        seen.hashed += rows
    if record.version != compared:
        seen.left_out[record.version] += rows


def _count(
    tally: DriftTally, batch: list[Record], manifest: Manifest, compared: str
) -> None:
    place_of = {label: place for place, label in enumerate(manifest.classes)}
    valued = [record for record in batch if record.matrix is not None]
    if valued:
        labels = [place_of[label] for record in valued for label in record.labels]
        matrix = np.concatenate([r.matrix for r in valued if r.matrix is not None])
        tally.add_inputs(matrix, np.array(labels))
    answered = [record for record in batch if record.version == compared]
    if answered:
        labels = [place_of[label] for record in answered for label in record.labels]
        tally.add_answers(np.array(labels))
    # Without inputs, probabilities are rounded to less than the reference has.
    exact = [r.probabilities for r in answered if r.matrix is not None]
    if exact:
        tally.add_confidence(np.concatenate(exact).max(axis=1))
