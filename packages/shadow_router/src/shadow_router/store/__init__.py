"""
The database: the only package that knows SQL.

One SQLite file in WAL mode with one writing process, or one PostgreSQL database for
several. The counters of a batch and its rows are committed in one transaction, so that
one can be checked against the other. In SQLite `synchronous = NORMAL` survives the
death of the process; after a power cut the last batches may be missing, which the
router's own books then show as `dropped_crash`.
"""

from shadow_router.store.browsing import (
    Details,
    Filter,
    Found,
    MarginBin,
    Moment,
    Sample,
    read_details,
)
from shadow_router.store.keeping import Keep
from shadow_router.store.labelling import (
    WANTED,
    Given,
    Joined,
    Labelling,
    LabelTotals,
    TrueLabel,
    Wanted,
    labelled,
)
from shadow_router.store.reading import (
    Discrepancy,
    LatencySums,
    StoredBooks,
    Totals,
    read_books,
    read_totals,
)
from shadow_router.store.sql.engine import FILE_NAME, StoreFailed
from shadow_router.store.writing import Batch, Store

__all__ = [
    "FILE_NAME",
    "WANTED",
    "Batch",
    "Details",
    "Discrepancy",
    "Filter",
    "Found",
    "Given",
    "Joined",
    "Keep",
    "LabelTotals",
    "Labelling",
    "LatencySums",
    "MarginBin",
    "Moment",
    "Sample",
    "Store",
    "StoreFailed",
    "StoredBooks",
    "Totals",
    "TrueLabel",
    "Wanted",
    "labelled",
    "read_books",
    "read_details",
    "read_totals",
]
