"""
The rows a model was trained on, read from the table that came with it; for the page.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from math import ceil, isfinite

# Enough for a scatter plot; a larger table is none that a page should be drawn from.
MAX_ROWS_SHOWN = 2_000
MAX_TABLE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Table:
    """
    Rows of a training table.

    Attributes
    ----------
    rows : tuple of tuple of float
        One value a feature, in the model's order; empty when there is no table.
    labels : tuple of str
        The class of each row.
    """

    rows: tuple[tuple[float, ...], ...] = ()
    labels: tuple[str, ...] = ()


def read_table(
    file: Traversable, sha256: str, features: Sequence[str], target: str
) -> Table:
    """
    Return rows spread evenly over a table, at most ``MAX_ROWS_SHOWN``.

    An empty table when the file is not there, above ``MAX_TABLE_BYTES``, not the
    one with this digest, or not numbers in every column: a page does without.

    Parameters
    ----------
    file : Traversable
        CSV in UTF-8 with a header.
    sha256 : str
        What the manifest says of its bytes.
    features : sequence of str
        Columns wanted, in this order.
    target : str
        The column with the class.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_TABLE_BYTES + 1)
        if hashlib.sha256(content).hexdigest() != sha256:
            return Table()
        return _parse(content.decode("utf-8-sig"), features, target)
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return Table()


def _parse(text: str, features: Sequence[str], target: str) -> Table:
    records = list(csv.DictReader(io.StringIO(text, newline="")))
    # Tables are often sorted by class: the first rows would be of one.
    shown = records[:: max(1, ceil(len(records) / MAX_ROWS_SHOWN))]
    rows = tuple(tuple(float(one[name]) for name in features) for one in shown)
    if not all(isfinite(value) for row in rows for value in row):
        return Table()
    return Table(rows, tuple(str(one[target]) for one in shown))
