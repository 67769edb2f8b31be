"""Names without end: labels, versions and digests that are others in every answer."""

import cProfile
import json
import sqlite3
from contextlib import closing

import pytest
from test_router_evidence import compared

from shadow_router.findings.bundle import as_json, as_text
from shadow_router.findings.findings import gather
from shadow_router.findings.metrics import render_metrics
from shadow_router.findings.summary import summarise
from shadow_router.page.page import render_page
from shadow_router.rules.rules import DEFAULT
from shadow_router.store import Batch, Store, read_totals
from shadow_router.store.naming import (
    ANOTHER,
    MOST_LABELS,
    MOST_PAIRS,
    MOST_SEGMENTS,
    MOST_VERSIONS,
    OTHER,
    shortened,
)
from shadow_router.values import Fate

MANY = 20_000
#: Calls of a page, its JSON and its metrics; each part of a gate held against each
#: other one would be four hundred million.
MOST_CALLS = 4_000_000


def labelled(x, live, shadow):
    """A comparison of request x with these labels."""
    item = compared(x)
    rows = tuple(one._replace(live=live, shadow=shadow) for one in item.difference.rows)
    found = item.difference._replace(rows=rows)
    if live != shadow:
        found = found._replace(fate=Fate.LABEL_FLIP)
    units = tuple(one._replace(row=rows[0]) for one in item.units)
    return item._replace(difference=found, units=units)


def versioned(x, version):
    item = compared(x)
    told = item.difference._replace(
        live_version="1.0.0", shadow_version=version, shadow_digest=version
    )
    return item._replace(difference=told)


def write(directory, items, final=None):
    with closing(Store(directory)) as store:
        store.note_rules(DEFAULT)
        for at in range(0, len(items), 1000):
            store.write(Batch(items[at : at + 1000]))
        store.finalise("r", final or len(items), {}, 0)


def rows(directory, table):
    with closing(sqlite3.connect(directory / "comparisons.sqlite")) as database:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def calls_of_a_report(directory):
    profile = cProfile.Profile()
    profile.enable()
    found = gather(directory)
    render_page(found), json.dumps(as_json(found)), as_text(found)
    render_metrics(summarise(directory))
    profile.disable()
    return sum(one.callcount for one in profile.getstats())


@pytest.mark.slow
def test_labels_without_end_are_others_and_the_verdict_is_invalid(tmp_path):
    names = [(f"a-{x}", f"b-{x}" if x % 2 else f"a-{x}") for x in range(3000)]
    write(tmp_path, [labelled(x, *pair) for x, pair in enumerate(names)])
    for table in ("pairs", "confusion", "segments"):
        assert rows(tmp_path, table) <= MOST_LABELS + 2
    tallies = read_totals(tmp_path).tallies
    # None is lost, and what differs still does.
    assert (tallies.inputs, tallies.flips) == (3000, 1500)
    assert tallies.pairs[OTHER, OTHER] + tallies.pairs[OTHER, ANOTHER] > 1000
    verdict = summarise(tmp_path).verdict
    assert verdict.state == "INVALID"
    assert "more than 1,000 labels or 5,000 pairs of them" in verdict.reason


def test_pairs_and_segments_are_bounded_where_labels_are_few(tmp_path):
    items = [labelled(x, f"a-{x % 90}", f"a-{x % 91}") for x in range(8000)]
    bins = [
        one._replace(units=(one.units[0]._replace(bins=(f"x {x}",)),))
        for x, one in enumerate(items)
    ]
    write(tmp_path, bins)
    assert rows(tmp_path, "pairs") <= MOST_PAIRS + MOST_LABELS
    assert rows(tmp_path, "segments") <= MOST_SEGMENTS + 1
    tallies = read_totals(tmp_path).tallies
    assert tallies.inputs == 8000
    assert tallies.segments[OTHER].trials > 0


def test_a_thousand_labels_are_kept_apart(tmp_path):
    items = [labelled(x, f"a-{x % 1000}", f"a-{x % 1000}") for x in range(2000)]
    write(tmp_path, items)
    tallies = read_totals(tmp_path).tallies
    assert len(tallies.pairs) == 1000 and tallies.inputs == 2000
    assert "labels or" not in summarise(tmp_path).verdict.reason


def test_versions_and_digests_are_bounded_and_named_shortly(tmp_path):
    write(tmp_path, [versioned(x, f"1.{x}." + "0" * 5000) for x in range(300)])
    with closing(Store(tmp_path)) as store:
        for x in range(40):
            store.note_identity("shadow", f"digest-{x}")
    assert rows(tmp_path, "versions") == MOST_VERSIONS + 2
    assert rows(tmp_path, "identities") == MOST_VERSIONS + 1
    verdict = summarise(tmp_path).verdict
    assert verdict.state == "INVALID" and len(verdict.reason) < 20_000


def test_long_names_are_shortened_and_stay_different(tmp_path):
    first, second = "x" * 100_000, "x" * 100_000 + "y"
    assert shortened("x" * 200) == "x" * 200
    assert len(shortened(first)) == len(shortened(second)) < 220
    assert shortened(first) != shortened(second)
    write(tmp_path, [labelled(x, first, second) for x in range(3)])
    assert list(read_totals(tmp_path).tallies.pairs.values()) == [3]


def test_names_are_as_many_after_a_restart_and_after_a_failure(tmp_path):
    for start in range(0, 2400, 400):
        items = [labelled(x, f"a-{x}", f"a-{x}") for x in range(start, start + 400)]
        with closing(Store(tmp_path)) as store:
            with pytest.raises(TypeError):
                store.write(Batch(items, {("r", Fate.MATCH): None}))
            store.write(Batch(items))
    assert rows(tmp_path, "pairs") == MOST_LABELS + 1


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A store as an older version may have left it."""
    directory = tmp_path_factory.mktemp("crowded")
    write(directory, [labelled(x, "a", "a") for x in range(10)], final=10)
    pairs = [(f"a-{x}", f"a-{x + x % 3}", 40 + x % 9) for x in range(MANY)]
    total = sum(n for _, _, n in pairs)
    with closing(sqlite3.connect(directory / "comparisons.sqlite")) as database:
        run = database.executemany
        for table in ("pairs", "confusion"):
            run(f"INSERT INTO {table} VALUES (?, ?, ?)", pairs)
        segments = [(f"a-{x}", 40, x % 2) for x in range(MANY)]
        run("INSERT INTO segments VALUES (?, ?, ?)", segments)
        told = [("shadow", f"1.{x}.0", "", 40) for x in range(MANY)]
        run("INSERT INTO versions VALUES (?, ?, ?, ?)", told)
        database.execute("UPDATE tallies SET n = n + ? WHERE n > 0", (total,))
        database.commit()
    return directory, total + 10


def test_report_takes_bounded_work_on_a_store_with_names_without_end(crowded):
    directory, total = crowded
    assert calls_of_a_report(directory) < MOST_CALLS
    summary = summarise(directory)
    assert summary.unique_inputs == total
    assert summary.verdict.state == "INVALID"
    assert "more than 1,000 labels" in summary.verdict.reason


def test_flips_are_still_counted_on_a_store_with_names_without_end(crowded):
    directory, _ = crowded
    flips = sum(40 + x % 9 for x in range(MANY) if x % 3)
    assert summarise(directory).unique_flips == flips
