"""What a report reads beyond the sums: bounded, even, and never by a scan."""

import contextlib
import sqlite3

import pytest
import sqlalchemy as sa
from test_router_evidence import compared

from shadow_router.findings.findings import gather, parse_query
from shadow_router.page.plots import bands
from shadow_router.rules.rules import DEFAULT
from shadow_router.store import FILE_NAME, Batch, Filter, Store, read_details, samples
from shadow_router.values import Fate


def fill(directory, numbers, flips=(), batch=50):
    directory.mkdir(exist_ok=True)
    store = Store(directory)
    store.note_rules(DEFAULT)
    items = [compared(x, shadow="b" if x in flips else "a") for x in numbers]
    for at in range(0, len(items), batch):
        store.write(Batch(items[at : at + batch]))
    store.close()


def kept(directory):
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME)) as database:
        rows = database.execute("SELECT stratum, digest FROM samples ORDER BY digest")
        return rows.fetchall()


def test_sample_holds_the_smallest_digests_when_more_came(tmp_path, monkeypatch):
    fill(tmp_path / "all", range(300), flips=range(0, 300, 3))
    monkeypatch.setattr(samples, "KEPT_INPUTS", 20)
    fill(tmp_path / "few", range(300), flips=range(0, 300, 3))
    everything = kept(tmp_path / "all")
    assert len(everything) == 300
    for stratum in ("flip", "agree"):
        whole = [row for row in everything if row[0] == stratum]
        assert [row for row in kept(tmp_path / "few") if row[0] == stratum] == whole[
            :20
        ]


def test_sample_is_the_same_when_inputs_repeat_and_writers_restart(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(samples, "KEPT_INPUTS", 20)
    fill(tmp_path / "once", range(100))
    for numbers in (range(60), range(100), range(40, 100)):
        fill(tmp_path / "often", numbers)
    assert kept(tmp_path / "often") == kept(tmp_path / "once")


def test_long_inputs_are_not_sampled(tmp_path):
    store = Store(tmp_path)
    store.write(Batch([compared("x" * 5000), compared(1)]))
    store.close()
    assert len(kept(tmp_path)) == 1


@pytest.mark.slow
def test_history_grows_with_the_logarithm_of_the_evidence(tmp_path):
    fill(tmp_path, range(2000), flips=range(0, 2000, 100), batch=10)
    history = gather(tmp_path).history
    assert len(history) < 80
    inputs = [moment.inputs for moment in history]
    assert inputs == sorted(set(inputs)) and inputs[-1] == 2000
    assert history[-1].flips == 20
    assert all(one.flips == -(-one.inputs // 100) for one in history)


def test_bands_end_at_the_bounds_of_the_verdict(tmp_path):
    fill(tmp_path, range(500), flips=range(5))
    found = gather(tmp_path)
    flips, *_ = bands(found.history, DEFAULT, 0.005)
    gate = next(g for g in found.summary.verdict.gates if g.name == "flips")
    assert flips.said == gate.parts[0].said


def test_margins_count_unique_inputs_and_their_flips(tmp_path):
    fill(tmp_path, [*range(40), *range(40)], flips=range(7))
    margins = gather(tmp_path).details.margins
    assert len(margins) == 20
    assert sum(one.inputs for one in margins) == 40
    assert sum(one.flips for one in margins) == 7


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("", 12),
        ("fate=label_flip", 12),
        ("fate=contract_break", 0),
        ("fate=nonsense", 12),
        ("live=a&shadow=b", 12),
        ("live=b&shadow=a", 0),
        ("live=%3Cscript%3E", 0),
        ("page=2", 12),
        ("page=99999999999999999999", 12),
        ("page=-1&page=x", 12),
        ("&".join(f"a{n}=1" for n in range(100)), 12),
    ],
)
def test_discrepancies_are_those_that_the_query_asks_for(tmp_path, query, total):
    fill(tmp_path, range(30), flips=range(12))
    found = gather(tmp_path, asked=parse_query(query)).details.found
    assert found.total == total
    assert found.kept == {"label_flip": 12}


def test_pages_of_discrepancies_follow_one_another(tmp_path):
    fill(tmp_path, range(30), flips=range(12))
    seen = [
        read_details(tmp_path, Filter(), skip, 5).found.items for skip in (0, 5, 10, 15)
    ]
    assert [len(items) for items in seen] == [5, 5, 2, 0]
    bodies = [item.request for items in seen for item in items]
    assert len(set(bodies)) == 12


def test_no_query_of_the_report_scans_the_comparisons_or_the_inputs(tmp_path):
    fill(tmp_path, range(30), flips=range(12))
    asked = []

    def note(connection, cursor, statement, parameters, context, many):
        asked.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        gather(tmp_path, asked=parse_query("live=a&shadow=b"))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    plans = []
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        for statement, parameters in asked:
            if not statement.startswith("SELECT"):
                continue
            rows = database.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plan = [row[3] for row in rows]
            # The newest of all is the first that a walk by the key comes to.
            is_newest = "ORDER BY comparisons.id DESC" in statement
            if is_newest and parameters[-2:] == (1, 0) and len(plan) == 1:
                continue
            plans += plan
    assert any(plan.startswith("SEARCH discrepancies") for plan in plans)
    for table in ("comparisons", "inputs"):
        assert not [plan for plan in plans if plan.startswith(f"SCAN {table}")]


def test_a_flip_far_down_a_long_request_is_still_shown(tmp_path):
    import test_router_evidence as evidence

    rows = [evidence.A] * 500 + [evidence.B]
    item = compared(1)
    flip = evidence.found(*rows)._replace(fate=Fate.LABEL_FLIP)
    item = item._replace(difference=flip)
    store = Store(tmp_path)
    store.write(Batch([item]))
    store.close()
    asked = parse_query("live=a&shadow=b")
    assert gather(tmp_path, asked=asked).details.found.total == 1
