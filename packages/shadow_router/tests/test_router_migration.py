"""A store that an older version wrote is carried over, with all that it counted."""

import sqlite3
import time

import pytest
from test_router_evidence import compared, failed

from shadow_router.errors import StoreUnreadable
from shadow_router.rules.rules import DEFAULT
from shadow_router.store import (
    Batch,
    Filter,
    Keep,
    Store,
    read_books,
    read_details,
    read_totals,
)
from shadow_router.values import Fate

# As layout 2 made them; never to be brought up to date.
LAYOUT_2 = """
CREATE TABLE bodies (comparison_id INTEGER NOT NULL, fate TEXT NOT NULL, request BLOB NOT NULL, live BLOB NOT NULL, shadow BLOB, PRIMARY KEY (comparison_id));
CREATE TABLE comparisons (id INTEGER NOT NULL, router_id TEXT NOT NULL, request_id TEXT NOT NULL, at_ns BIGINT NOT NULL, fate TEXT NOT NULL, reason TEXT NOT NULL, rows INTEGER NOT NULL, live_labels TEXT NOT NULL, shadow_labels TEXT NOT NULL, max_delta FLOAT, total_variation FLOAT, live_margin FLOAT, live_status INTEGER NOT NULL, shadow_status INTEGER, live_ms FLOAT NOT NULL, shadow_ms FLOAT, live_predict_ms FLOAT, shadow_predict_ms FLOAT, input_digest BLOB NOT NULL, live_version TEXT NOT NULL, shadow_version TEXT NOT NULL, PRIMARY KEY (id));
CREATE TABLE confusion (live TEXT NOT NULL, shadow TEXT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (live, shadow));
CREATE TABLE counters (router_id TEXT NOT NULL, side TEXT NOT NULL, fate TEXT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (router_id, side, fate));
CREATE TABLE finals (router_id TEXT NOT NULL, received BIGINT NOT NULL, PRIMARY KEY (router_id));
CREATE TABLE flows (router_id TEXT NOT NULL, taken BIGINT NOT NULL, open BIGINT NOT NULL, dropped_writer BIGINT NOT NULL, PRIMARY KEY (router_id));
CREATE TABLE inputs (digest BLOB NOT NULL, labels BLOB NOT NULL, PRIMARY KEY (digest)) WITHOUT ROWID;
CREATE TABLE latencies (role TEXT NOT NULL, clock TEXT NOT NULL, bucket INTEGER NOT NULL, n BIGINT NOT NULL, sum_ms FLOAT NOT NULL, PRIMARY KEY (role, clock, bucket));
CREATE TABLE layout (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE pace (minute BIGINT NOT NULL, inputs BIGINT NOT NULL, flips BIGINT NOT NULL, PRIMARY KEY (minute));
CREATE TABLE pairs (live TEXT NOT NULL, shadow TEXT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (live, shadow));
CREATE TABLE rules (sha256 TEXT NOT NULL, at_ns BIGINT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (sha256));
CREATE TABLE segments (name TEXT NOT NULL, n BIGINT NOT NULL, flips BIGINT NOT NULL, PRIMARY KEY (name));
CREATE TABLE sketches (clock TEXT NOT NULL, bucket INTEGER NOT NULL, live BIGINT NOT NULL, shadow BIGINT NOT NULL, PRIMARY KEY (clock, bucket));
CREATE TABLE tallies (name TEXT NOT NULL, n BIGINT NOT NULL, total FLOAT NOT NULL, PRIMARY KEY (name));
CREATE TABLE versions (role TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (role, version, digest));
INSERT INTO layout VALUES (2);
"""  # noqa: E501


def write_layout_2(directory):
    """Write what 100 matches, 3 flips and one error were under layout 2."""
    now = time.time_ns()
    database = sqlite3.connect(directory / "comparisons.sqlite")
    database.executescript(LAYOUT_2)
    fates = ["match"] * 100 + ["label_flip"] * 3 + ["shadow_error"]
    for number, fate in enumerate(fates, start=1):
        shadow = "b" if fate == "label_flip" else "a"
        # Digests of the inputs that today's code computes: a repeat must be known.
        digest = compared(number).request_digest
        database.execute(
            f"INSERT INTO comparisons VALUES ({'?, ' * 20}?)",
            (
                *(number, "r", f"id-{number}", now, fate, "", 1, "a", shadow),
                *(0.0, 0.0, 0.5, 200, 200, 1.0, 2.0, 0.5, 0.5, digest, "1", "2"),
            ),
        )
        labels = b"" if fate == "shadow_error" else b"\1" * 8
        database.execute("INSERT INTO inputs VALUES (?, ?)", (digest, labels))
        if fate != "match":
            bodies = (number, fate, b"request", b"live", b"shadow")
            if fate == "shadow_error":
                bodies = (*bodies[:4], None)
            database.execute("INSERT INTO bodies VALUES (?, ?, ?, ?, ?)", bodies)
    for fate, n in (("match", 100), ("label_flip", 3), ("shadow_error", 1)):
        row = ("r", "collector", fate, n)
        database.execute("INSERT INTO counters VALUES (?, ?, ?, ?)", row)
    database.execute("INSERT INTO pairs VALUES ('a', 'a', 100), ('a', 'b', 3)")
    database.execute("INSERT INTO tallies VALUES ('requests', 104, 0.0)")
    database.execute("INSERT INTO tallies VALUES ('errors', 1, 0.0)")
    database.execute("INSERT INTO finals VALUES ('r', 104)")
    rules = (DEFAULT.sha256, now, DEFAULT.canonical)
    database.execute("INSERT INTO rules VALUES (?, ?, ?)", rules)
    database.commit()
    database.close()


@pytest.fixture
def old(tmp_path):
    write_layout_2(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_older_store_keeps_all_that_it_counted_when_a_collector_opens_it(old):
    Store(old).close()
    books = read_books(old)
    assert books.finals == {"r": 104}
    assert books.rows_by_fate == {"match": 100, "label_flip": 3, "shadow_error": 1}
    assert sum(books.counters.values()) == 104
    totals = read_totals(old)
    assert (totals.tallies.inputs, totals.tallies.flips) == (103, 3)
    assert totals.rules == (DEFAULT.canonical,)
    found = read_details(old, Filter(), 0, 10).found.items
    assert [(one.request_id, one.fate, one.shadow) for one in found] == [
        ("id-104", Fate.SHADOW_ERROR, None),
        ("id-103", Fate.LABEL_FLIP, b"shadow"),
        ("id-102", Fate.LABEL_FLIP, b"shadow"),
        ("id-101", Fate.LABEL_FLIP, b"shadow"),
    ]


def test_older_store_is_written_on_and_bounded_when_it_was_carried_over(old):
    store = Store(old, keep=Keep(comparisons=10, discrepancies=2, inputs=60))
    # An input it knew, one it did not, and a failure.
    store.write(Batch([compared(5), compared(500), failed(501)]))
    tallies = read_totals(old).tallies
    assert (tallies.inputs, tallies.repeats, tallies.requests) == (104, 1, 106)
    while store.prune():
        pass
    store.close()
    assert read_books(old).rows_by_fate == {
        "match": 102,
        "label_flip": 3,
        "shadow_error": 2,
    }
    assert [one.fate for one in read_details(old, Filter(), 0, 10).found.items] == [
        Fate.SHADOW_ERROR,
        Fate.SHADOW_ERROR,
        Fate.LABEL_FLIP,
        Fate.LABEL_FLIP,
    ]
    database = sqlite3.connect(old / "comparisons.sqlite")
    counts = {
        table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("comparisons", "inputs")
    }
    database.close()
    assert counts["comparisons"] == 10
    assert 0 < counts["inputs"] <= 60


def test_older_store_is_left_alone_when_it_is_only_read(old):
    path = old / "comparisons.sqlite"
    before = path.read_bytes()
    with pytest.raises(StoreUnreadable, match="layout 2.* start a collector"):
        read_totals(old)
    assert path.read_bytes() == before


def test_older_store_stays_as_it_was_when_it_cannot_be_carried_over(old):
    database = sqlite3.connect(old / "comparisons.sqlite")
    # The size of a body is not to be had: the last step fails in the middle.
    database.execute("ALTER TABLE bodies RENAME COLUMN live TO lively")
    database.commit()
    database.close()
    with pytest.raises(Exception, match="live"):
        Store(old)
    database = sqlite3.connect(old / "comparisons.sqlite")
    (version,) = database.execute("SELECT version FROM layout").fetchone()
    names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    database.close()
    assert version == 2
    assert "bodies" in names and "discrepancies" not in names
