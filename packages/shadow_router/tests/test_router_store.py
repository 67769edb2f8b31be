"""One suite for both engines: what the store promises, on a file and on a server."""

import json
import os
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from test_router_evidence import compared, exchange, failed

from shadow_router.commands import audit
from shadow_router.compare.comparisons import comparison_of
from shadow_router.errors import DataDirectoryMissing, StoreAway, StoreUnreadable
from shadow_router.findings.findings import Setting, gather
from shadow_router.rules.rules import DEFAULT
from shadow_router.run.books import Page, RunState
from shadow_router.store import (
    Batch,
    Filter,
    Keep,
    Store,
    StoreFailed,
    read_books,
    read_details,
    read_totals,
)
from shadow_router.store.ageing import Ageing
from shadow_router.values import Fate, Flow, Observation
from shadow_router.verdict.evidence import Tallies, Tried


class Place:
    """Where a run is stored, with the same few questions for either engine."""

    def __init__(self, directory, url=None):
        self.directory = directory
        self.url = url
        self.stores = []

    def open(self, ageing=None, **keep):
        store = Store(self.directory, self.url, Keep(**keep), ageing)
        self.stores.append(store)
        return store

    def filled(self, *batches, **keep):
        store = self.open(**keep)
        store.note_rules(DEFAULT)
        for batch in batches:
            store.write(Batch(batch))
        return store

    @property
    def books(self):
        return read_books(self.directory, self.url)

    @property
    def tallies(self):
        return read_totals(self.directory, self.url).tallies

    def discrepancies(self, limit=1000):
        return read_details(self.directory, Filter(), 0, limit, self.url).found.items

    def execute(self, statement):
        with self.stores[0]._engine.begin() as connection:
            found = connection.execute(sa.text(statement))
            return found.all() if found.returns_rows else []

    def count(self, table):
        return self.execute(f"SELECT count(*) FROM {table}")[0][0]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    if request.param == "sqlite":
        found = Place(tmp_path)
    else:
        server = request.getfixturevalue("postgresql")
        found = Place(tmp_path, SecretStr(server.url(server.new_database())))
    yield found
    for store in found.stores:
        store.close()


def drained(store, steps=1000):
    for taken in range(steps):
        if not store.prune():
            return taken
    raise AssertionError("pruning does not end")


# Writing


def test_counters_add_up_over_batches_and_restarts(place):
    place.filled([compared(1), compared(2, shadow="b")], [compared(1)])
    lost = {("r", Fate.DROPPED_CRASH): 3}
    place.open().write(Batch([failed(4)], lost, {"r": Flow(7, 0, 0)}))
    assert place.books.counters == {
        ("r", "collector", "match"): 2,
        ("r", "collector", "label_flip"): 1,
        ("r", "collector", "shadow_error"): 1,
        ("r", "collector", "dropped_crash"): 3,
    }
    assert place.books.rows_by_fate == {"match": 2, "label_flip": 1, "shadow_error": 1}
    assert place.books.flows == {"r": Flow(7, 0, 0)}
    assert place.stores[1].known_of("r") == (7, 0)


def test_evidence_is_the_same_on_either_engine(place):
    first = [compared(1), compared(2, shadow="b", q=0.4), failed(5)]
    second = [compared(1), compared(3, live="b", shadow="b", p=0.4, q=0.5), failed(5)]
    place.filled(first, second)
    tallies = place.tallies
    assert tallies.pairs == {("a", "a"): 1, ("a", "b"): 1, ("b", "b"): 1}
    assert (tallies.requests, tallies.errors, tallies.repeats) == (4, 1, 1)
    assert (tallies.measured, tallies.confident_flips, tallies.shifts) == (3, 1, 2)
    assert tallies.distance == pytest.approx(0.6)
    assert tallies.segments == {"a": Tried(2, 1), "b": Tried(1, 0)}
    assert tallies.sketches["caller"].pairs == 4


def test_nothing_of_a_batch_is_there_when_a_part_of_it_is_refused(place):
    store = place.filled([compared(1)])
    with pytest.raises((StoreFailed, OverflowError)):
        store.write(Batch([compared(2)], flows={"r": Flow(2**70, 0, 0)}))
    assert not store.has_written()
    assert place.books.counters == {("r", "collector", "match"): 1}
    assert place.tallies.inputs == 1
    store.write(Batch([compared(3)]))
    assert place.tallies.inputs == 2


def test_batch_is_known_to_be_stored_when_only_the_answer_was_lost(place, monkeypatch):
    store = place.filled([compared(1)])
    commit = store._engine.dialect.do_commit

    def commit_and_break(connection):
        commit(connection)
        raise store._engine.dialect.dbapi.OperationalError("the connection broke")

    monkeypatch.setattr(store._engine.dialect, "do_commit", commit_and_break)
    with pytest.raises(StoreFailed):
        store.write(Batch([compared(2)]))
    monkeypatch.undo()
    assert store.has_written()
    assert not store.has_written()
    assert place.books.counters == {("r", "collector", "match"): 2}


def write_in_the_end(store, batch):
    """Write as the collector does: again when a turn was waited for too long."""
    while True:
        try:
            return store.write(batch)
        except (sa.exc.OperationalError, StoreFailed):
            if store.has_written():
                return None


@pytest.mark.slow(after=1)
def test_sums_are_exact_when_several_write_at_once(place):
    stores = [place.open() for _ in range(3)]

    def write(store, router_id):
        for start in range(0, 200, 10):
            # All three see the same inputs, none of which may count twice.
            items = [compared(x) for x in range(start, start + 10)]
            named = [one._replace(router_id=router_id) for one in items]
            write_in_the_end(store, Batch(named))

    threads = [
        threading.Thread(target=write, args=(store, f"r{n}"))
        for n, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert place.books.counters == {
        (f"r{n}", "collector", "match"): 200 for n in range(3)
    }
    tallies = place.tallies
    assert (tallies.inputs, tallies.requests, tallies.repeats) == (200, 200, 400)
    assert place.books.rows_by_fate == {"match": 600}


def test_text_is_kept_on_either_engine_when_it_holds_nul_and_more(place):
    label = "a\0b\u2028é" * 20
    place.filled([compared(1, shadow=label), compared(2, shadow=label)])
    kept = label.replace("\0", "\ufffd")
    assert place.tallies.pairs == {("a", kept): 2}
    assert place.discrepancies()[0].shadow_labels == kept[:64]


def test_bodies_come_back_byte_for_byte_newest_first(place):
    body = bytes(range(256))
    broken = Observation(500, "text/plain", "", body, 3.0)
    place.filled(
        [
            comparison_of("r", exchange(b"\0\xff"), broken, DEFAULT),
            compared(2, shadow="b"),
        ]
    )
    newest, oldest = place.discrepancies()
    assert newest.fate is Fate.LABEL_FLIP
    assert (oldest.request, oldest.shadow) == (b"\0\xff", body)
    assert len(place.discrepancies(limit=1)) == 1


def page(**more):
    values = {
        "router_id": "r",
        "is_alive": True,
        "state": RunState.RUNNING,
        "received": 9,
        "in_flight": 1,
        "queue_items": 2,
        "queue_bytes": 100,
        "handed": 4,
        "dropped_writer": 1,
        "shed_ppm": 0,
        "fates": {Fate.SKIPPED_METHOD: 2},
    }
    return Page(**values | more)


def test_books_balance_from_afar_by_what_was_written_of_a_router(place):
    store = place.filled([compared(1)])
    store.write(Batch(flows={"r": Flow(3, 1, 1)}, pages=[page()]))
    elsewhere = place.directory / "elsewhere" if place.url else place.directory
    found = audit.audit(elsewhere, 0.1, place.url)
    assert found.balances, audit.as_text(found)
    assert (found.accounts.received, found.in_queue, found.in_transit) == (9, 2, 1)
    # And the audit sees when they do not.
    store.write(Batch(pages=[page(received=10)]))
    assert not audit.audit(elsewhere, 0.1, place.url).balances


def test_books_of_an_ended_router_are_taken_over_once(place):
    store = place.filled([compared(1)])
    store.write(Batch(flows={"r": Flow(1, 0, 0)}, pages=[page()]))
    for _ in range(2):
        store.finalise("r", 5, {Fate.SKIPPED_METHOD: 2}, crashed=2)
    books = place.books
    assert (books.finals, books.flows, books.pages) == ({"r": 5}, {}, {})
    assert books.counters["r", "router", "skipped_method"] == 2
    assert books.counters["r", "collector", "dropped_crash"] == 2
    assert store.is_final("r") and not store.is_final("s")


# Keeping


@pytest.mark.slow(after=1)
def test_rows_are_bounded_and_nothing_that_counts_changes(place):
    store = place.filled([compared(x % 50) for x in range(5000)], comparisons=100)
    before = place.tallies
    assert drained(store) > 0
    assert place.count("comparisons") == 100
    assert place.tallies == before
    assert place.books.rows_by_fate == {"match": 5000}


def test_rows_and_bodies_go_when_they_are_old(place):
    clock = [0.0]
    store = place.open(Ageing(lambda: clock[0]), days=7.0)
    store.write(Batch([compared(x, shadow="b") for x in range(300)]))
    drained(store)
    clock[0] = 7.1 * 86_400
    store.write(Batch([compared(500, shadow="b")]))
    drained(store)
    assert place.count("comparisons") == 1
    assert len(place.discrepancies()) == 1
    assert place.books.rows_by_fate == {"label_flip": 301}


@pytest.mark.slow(after=1)
def test_newest_bodies_are_kept_and_a_flood_hides_no_rarity(place):
    flood = [
        [compared(x, shadow="b") for x in range(start, start + 50)]
        for start in range(0, 1000, 50)
    ]
    broken = [failed(x + 5000, Fate.CONTRACT_BREAK) for x in range(3)]
    store = place.filled(broken, *flood, discrepancies=20)
    drained(store)
    kept = place.discrepancies()
    assert [one.fate for one in kept].count(Fate.CONTRACT_BREAK) == 3
    assert [one.fate for one in kept].count(Fate.LABEL_FLIP) == 20
    assert b'"x": 999}' in kept[0].request


@pytest.mark.slow(after=1)
def test_bodies_are_bounded_by_their_bytes(place):
    def large(x):
        item = compared(x, shadow="b")
        body = item.exchange._replace(request_body=b"x" * 10_000)
        return item._replace(exchange=body)

    batches = [[large(x), large(x + 1)] for x in range(0, 100, 2)]
    store = place.filled(*batches, [failed(500, Fate.SHADOW_ERROR)], body_bytes=50_000)
    drained(store)
    kept = place.discrepancies()
    assert sum(len(one.request) for one in kept) <= 50_000
    assert kept[0].fate is Fate.SHADOW_ERROR
    assert sum(one.fate is Fate.LABEL_FLIP for one in kept) >= 3
    # The count is kept beside, and is the truth.
    sums = dict(place.execute("SELECT fate, sum(bytes) FROM discrepancies GROUP BY 1"))
    kept = dict(place.execute("SELECT name, bytes FROM kept WHERE bytes > 0"))
    assert sums == kept


@pytest.mark.slow(after=1)
def test_inputs_are_bounded_and_none_counts_twice(place):
    inputs = [[compared(x) for x in range(s, s + 500)] for s in range(0, 2000, 500)]
    store = place.filled(*inputs, inputs=300)
    assert place.tallies.inputs == 2000
    drained(store)
    remembered = place.count("inputs")
    assert 150 < remembered <= 300
    [(n,)] = place.execute("SELECT n FROM kept WHERE name = 'inputs'")
    assert n == remembered
    for batch in inputs:
        store.write(Batch(batch))
    tallies = place.tallies
    assert (tallies.inputs, tallies.repeats) == (2000, remembered)
    # An eighth of all other inputs still counts: 2000 were halved three times.
    store.write(Batch([compared(x) for x in range(10_000, 12_000)]))
    assert 150 < place.tallies.inputs - 2000 < 350
    assert place.tallies.inputs == place.tallies.requests
    drained(store)
    assert place.count("inputs") <= 300


@pytest.mark.slow(after=1)
def test_one_step_lets_go_of_a_few_thousand_at_most(place):
    store = place.filled([compared(x % 10) for x in range(5000)], comparisons=1)
    assert store.prune()
    assert place.count("comparisons") == 3000


# Opening and reading


def test_reading_says_what_is_missing_when_nothing_was_ever_stored(place):
    with pytest.raises(DataDirectoryMissing, match="holds no comparisons yet"):
        read_totals(place.directory, place.url)


def test_tallies_are_empty_when_nothing_was_compared(place):
    place.filled()
    assert place.tallies == Tallies()
    assert not place.open().prune()


def test_newer_store_is_refused_with_what_to_do(place):
    place.filled([compared(1)])
    place.execute("UPDATE layout SET version = 99")
    with pytest.raises(StoreUnreadable, match="layout 99.* use a newer shadow_router"):
        place.open()
    with pytest.raises(StoreUnreadable, match="layout 99.* use a newer shadow_router"):
        read_totals(place.directory, place.url)


def test_store_that_is_too_old_is_refused_with_what_to_do(place):
    place.filled([compared(1)])
    place.execute("DROP TABLE layout")
    with pytest.raises(StoreUnreadable, match="layout 1.* begin again with an empty"):
        place.open()


def test_store_says_in_one_line_that_it_cannot_be_opened(place):
    if place.url:
        text = place.url.get_secret_value()
        place.url = SecretStr(text.rpartition("/")[0] + "/nowhere")
    else:
        place.directory = place.directory / "nowhere"
    with pytest.raises(StoreAway) as caught:
        place.open()
    assert "nowhere" in str(caught.value) and "\n" not in str(caught.value)


def _values(parameters):
    return parameters.values() if hasattr(parameters, "values") else parameters


def test_summary_never_touches_the_rows_of_comparisons(place):
    place.filled([compared(x, shadow="b" if x < 9 else "a") for x in range(100)])
    seen = []

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, many):
        if statement.lstrip().startswith("SELECT"):
            seen.append((statement, parameters))

    try:
        found = gather(place.directory, Setting(store_url=place.url))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert found.summary.compared == 100
    assert len(found.details.found.items) == 9
    assert len(seen) > 10
    explain = "EXPLAIN" if place.url else "EXPLAIN QUERY PLAN"
    with place.stores[0]._engine.connect() as connection:
        for statement, parameters in seen:
            if "ORDER BY comparisons.id DESC" in statement and 1 in _values(parameters):
                continue  # the newest of all, where a walk by the key stops at once
            plan = connection.exec_driver_sql(f"{explain} {statement}", parameters)
            assert "comparisons" not in str(plan.all()), statement
        # And the plan would say so.
        audited = f"{explain} SELECT fate, count(*) FROM comparisons GROUP BY fate"
        assert "comparisons" in str(connection.exec_driver_sql(audited).all())


@pytest.mark.slow
def test_command_prints_the_flips_of_either_engine(place):
    place.filled([compared(1), compared(2, shadow="b"), failed(3)])
    names = {"SHADOW_ROUTER_DATA_DIR": str(place.directory)}
    if place.url is not None:
        names["SHADOW_ROUTER_STORE_URL"] = place.url.get_secret_value()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "shadow_router", "flips"],
        env=os.environ | names,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stderr == ""
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"input": {"x": 2}, "live": "a", "shadow": "b"}
    ]
