"""Clocks that jump: nothing grows old by it, and no duration is negative."""

import contextlib
import itertools
import os
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from router_fakes import answer_bytes
from router_metrics import ALIKE, EDGES, TABLE, exposition, times
from test_router_drift_watch import showing, watched
from test_router_evidence import compared
from test_router_replay import EXCHANGE, log
from test_router_store import drained

from shadow_router.clocks import BoundedClock
from shadow_router.errors import PromotionRefused
from shadow_router.page.hour_panel import hour_panel
from shadow_router.promotion.promotion import _check_verdict
from shadow_router.store import Batch, Keep, Store
from shadow_router.store.ageing import Ageing, ages
from shadow_router.store.reading import _inputs_per_s
from shadow_router.values import Fate
from shadow_router.verdict.parts import State
from shadow_router.watch import hour
from shadow_router.watch.hour import Count, Hour

DAY_S = 86_400.0
KEPT_DAYS = 30.0
#: What a stop may count for, and how late rows may go.
STOP_DAYS, LATE_DAYS = KEPT_DAYS / 30, KEPT_DAYS / 64


class Machine:
    """A clock that somebody sets, and one that nobody can."""

    def __init__(self):
        self.steady_s, self.wall_s = 1000.0, 1.7e9

    def run(self, days, jump_days=0.0):
        self.steady_s += days * DAY_S
        self.wall_s += (days + jump_days) * DAY_S

    def ageing(self):
        return Ageing(lambda: self.steady_s, lambda: self.wall_s)


def ids(store):
    with store._engine.begin() as connection:
        rows = connection.execute(sa.text("SELECT id FROM comparisons")).all()
        bodies = connection.execute(sa.text("SELECT count(*) FROM discrepancies"))
        return {row.id for row in rows}, bodies.scalar()


def opened(directory, machine):
    return Store(directory, keep=Keep(days=KEPT_DAYS), ageing=machine.ageing())


def test_rows_and_bodies_go_when_they_are_old_and_not_before(tmp_path):
    machine = Machine()
    with contextlib.closing(opened(tmp_path, machine)) as store:
        store.write(Batch([compared(1, shadow="b")]))
        drained(store)
        machine.run(KEPT_DAYS - 0.1)
        store.write(Batch([compared(2, shadow="b")]))
        drained(store)
        assert ids(store) == ({1, 2}, 2)
        machine.run(0.2)
        drained(store)
        assert ids(store) == ({2}, 1)


@pytest.mark.parametrize("jump_days", [40, -40, 400_000])
def test_nothing_goes_when_the_clock_jumps_for_a_moment(tmp_path, jump_days):
    machine = Machine()
    with contextlib.closing(opened(tmp_path, machine)) as store:
        store.write(Batch([compared(x, shadow="b") for x in range(50)]))
        drained(store)
        machine.run(1, jump_days)
        # Also what comes meanwhile, whose requests bear the false time.
        late = compared(99, shadow="b")
        at_ns = int(machine.wall_s * 1e9) % 2**62
        store.write(
            Batch([late._replace(exchange=late.exchange._replace(at_ns=at_ns))])
        )
        drained(store)
        machine.run(3 / DAY_S, -jump_days)
        drained(store)
        assert ids(store) == (set(range(1, 52)), 51)


def test_numbers_are_not_given_twice_when_all_rows_have_gone(tmp_path):
    machine = Machine()
    with contextlib.closing(opened(tmp_path, machine)) as store:
        store.write(Batch([compared(x, shadow="b") for x in range(5)]))
        for _ in range(3):
            drained(store)
            machine.run(KEPT_DAYS)
        drained(store)
        assert ids(store) == (set(), 0)
        store.write(Batch([compared(9, shadow="b")]))
        drained(store)
        assert ids(store) == ({6}, 1)


def test_two_collectors_of_a_store_make_time_run_once(tmp_path):
    machine = Machine()
    stores = [opened(tmp_path, machine) for _ in range(2)]
    for _ in range(40):
        machine.run(0.5)
        for store in stores:
            store.prune()
    with stores[0]._engine.begin() as connection:
        newest = connection.scalar(sa.select(sa.func.max(ages.c.at_s)))
    assert newest / DAY_S == pytest.approx(19.5, abs=LATE_DAYS)
    for store in stores:
        store.close()


STEPS = st.lists(
    st.tuples(
        st.floats(0, 4),
        st.sampled_from([0.0, 0.0, 40.0, -40.0, 1e5]),
        st.booleans(),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=30, deadline=None)
def test_no_row_goes_before_its_days_are_over_whatever_clock_and_stops_do(steps):
    machine, born, stops = Machine(), {}, {}
    with Database() as directory:
        store = opened(directory, machine)
        for number, (days, jump, is_stopped) in enumerate(steps, start=1):
            store.write(Batch([compared(number, shadow="b")]))
            born[number], stops[number] = machine.steady_s, 0
            drained(store)
            if is_stopped:
                store.close()
                stops = {one: n + 1 for one, n in stops.items()}
            machine.run(days, jump)
            if is_stopped:
                store = opened(directory, machine)
            drained(store)
            there, bodies = ids(store)
            for one, at in born.items():
                age = (machine.steady_s - at) / DAY_S
                if age < KEPT_DAYS - STOP_DAYS * stops[one]:
                    assert one in there
                if age > KEPT_DAYS + 2 * LATE_DAYS + 4.1 and not stops[one]:
                    assert one not in there
            assert bodies == len(there)
        store.close()


class Database:
    """A folder for one example."""

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        return Path(self._folder.name)

    def __exit__(self, *_):
        self._folder.cleanup()


def test_clock_is_never_ahead_of_time_and_follows_when_it_is_set_back():
    machine = Machine()
    clock = BoundedClock(
        machine.wall_s, 10.0, lambda: machine.wall_s, lambda: machine.steady_s
    )
    began = machine.wall_s
    assert clock() == began
    machine.run(1 / DAY_S, jump_days=40)
    assert clock() == began + 1
    machine.run(1 / DAY_S, jump_days=-40)
    assert clock() == pytest.approx(began + 2)


def test_hour_has_no_negative_minutes_when_the_clock_is_set_back(monkeypatch):
    machine = Machine()
    counted = Hour(lambda: None)
    for number in range(4):
        fates = {Fate.MATCH: 100 * number}
        counted._counts.append(Count(machine.steady_s, fates, ()))
        machine.run(20 / DAY_S, jump_days=-0.1)
    monkeypatch.setattr(hour, "since_1970", lambda s: s + machine.wall_s - 1080.0)
    panel = hour_panel(counted.spans, machine.wall_s)
    assert panel.said.startswith("300 requests in 1 minutes, at most 5 a second")


def test_drift_is_of_time_that_passed_whatever_the_clock_says(monkeypatch):
    jumps = itertools.cycle([0.0, 40 * DAY_S, -40 * DAY_S])
    real, times_answered = time.time, []

    async def answer(writer):
        times_answered.append(1)
        rows = times(ALIKE, len(times_answered))
        writer.write(answer_bytes(exposition({"length": (EDGES, rows, TABLE)})))
        return True

    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    with showing(answer) as live:
        found = watched(live.url, lambda _: len(times_answered) > 4, monkeypatch)
    assert found.comparisons[0].rows > 1000


def test_rate_leaves_minutes_out_that_are_still_to_come(tmp_path):
    minute = int(time.time() / 60)
    with contextlib.closing(Store(tmp_path)) as store:
        with store._engine.begin() as connection:
            for at, inputs in ((minute - 1, 120), (minute + 57_600, 10_000)):
                row = f"INSERT INTO pace VALUES ({at}, {inputs}, 0)"
                connection.execute(sa.text(row))
            assert 0 < _inputs_per_s(connection) <= 2.0


def test_promotion_is_refused_when_the_newest_comparison_is_still_to_come():
    verdict = SimpleNamespace(state=State.PASS, reason="")
    summary = SimpleNamespace(verdict=verdict, at=1000.0, newest_at=1000.0 + 7200)
    with pytest.raises(PromotionRefused, match="120 min ahead of the clock"):
        _check_verdict(summary, 3600.0)
    summary.newest_at = 1030.0
    _check_verdict(summary, 3600.0)


def test_recordings_stay_and_keep_their_order_when_the_clock_jumps(
    tmp_path, monkeypatch
):
    real, jump = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    written = log(tmp_path / "log")
    for jump in (0.0, 40 * DAY_S, 0.0):
        written._now._wall = time.time
        written.write([EXCHANGE._replace(request_id=f"at-{jump:.0f}")])
        written.close()
    pieces = sorted((tmp_path / "log").iterdir())
    assert len(pieces) == 3
    assert pieces == sorted(pieces, key=lambda path: path.stat().st_mtime_ns)


def test_recording_follows_a_piece_of_the_future(tmp_path):
    directory = tmp_path / "log"
    directory.mkdir()
    first = directory / "traffic-29990101T000000.000000Z.jsonl.gz"
    first.write_bytes(b"")
    os.utime(first, (time.time(),) * 2)
    written = log(directory)
    written.write([EXCHANGE])
    written.close()
    names = [path.name for path in sorted(directory.iterdir())]
    assert names[1] == "traffic-29990101T000000.000001Z.jsonl.gz"
