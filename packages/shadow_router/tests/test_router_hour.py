"""The last hour on the page: what came between two counts, as bars and lines."""

import asyncio
import re
import threading

import pytest
from router_system import post_many, wait_until

from shadow_router.errors import StoreUnreadable
from shadow_router.page.hour_panel import hour_panel
from shadow_router.store import LatencySums
from shadow_router.values import Fate
from shadow_router.verdict.latency import bucket_of
from shadow_router.watch.hour import Count, Hour, spans

BEGAN = 1_000_000.0


def count(after_s, match=0, lost=0, slow=0):
    """Everything counted so far; matches took 1 ms, and some 50 ms."""
    buckets = {bucket_of(1.0): match, bucket_of(50.0): slow}
    sums = (LatencySums("live", "caller", buckets, 0.0),)
    fates = {Fate.MATCH: match + slow, Fate.DROPPED_QUEUE: lost}
    return Count(BEGAN + after_s, fates, sums)


def test_spans_tell_what_came_between_two_counts():
    first, second = spans([count(0, 100), count(20, 300, 5), count(40, 300, 5, 10)])
    assert first.fates == {Fate.MATCH: 200, Fate.DROPPED_QUEUE: 5}
    assert second.fates == {Fate.MATCH: 10, Fate.DROPPED_QUEUE: 0}
    assert 0.8 < first.p99_ms["live"] < 1.3
    # What came before is not what came now.
    assert 40 < second.p99_ms["live"] < 63
    assert first.p99_ms["shadow"] is None


def test_spans_are_never_negative_when_books_are_taken_over():
    (span,) = spans([count(0, 100), count(20, 90)])
    assert span.fates[Fate.MATCH] == 0
    assert span.p99_ms["live"] is None


def test_panel_is_absent_when_nothing_was_counted_in_the_last_hour():
    assert hour_panel((), BEGAN) is None
    old = spans([count(0, 1), count(20, 2)])
    assert hour_panel(old, BEGAN + 3700) is None


def test_panel_stacks_kinds_over_their_time():
    panel = hour_panel(spans([count(0), count(20, 100, 300)]), BEGAN + 3600)
    agrees, lost = panel.bars
    assert (agrees.kind, lost.kind) == ("good", "lost")
    # 20 requests a second on an axis that ends at 20.
    assert [tick.text for tick in panel.rate_ticks] == ["10/s", "20/s"]
    assert (agrees.x, round(agrees.width, 2)) == (0, 5.56)
    assert (agrees.y, agrees.height) == (82.5, 27.5)
    assert (lost.y, lost.height) == (0, 82.5)
    assert panel.kinds == (("good", "agrees"), ("lost", "lost"))
    assert panel.received == 400


def test_panel_breaks_its_line_when_nothing_came_for_a_while():
    counts = [count(0), count(20, 10), count(40, 10), count(60, 20), count(80, 30)]
    panel = hour_panel(spans(counts), BEGAN + 100)
    assert [role for role, _ in panel.lines] == ["live", "live"]
    assert all(len(points.split()) == 2 for _, points in panel.lines)


def test_panel_has_a_time_every_ten_minutes():
    counts = [count(0), count(3580, 1)]
    panel = hour_panel(spans(counts), BEGAN + 3600)
    assert len(panel.time_ticks) in (5, 6)
    assert all(tick.text.endswith("0") for tick in panel.time_ticks)


def test_panel_has_ten_minutes_when_the_collector_has_just_begun():
    panel = hour_panel(spans([count(570), count(590, 1)]), BEGAN + 600)
    assert [round(bar.x) for bar in panel.bars] == [950]
    assert len(panel.time_ticks) in (4, 5)


def test_hour_goes_on_and_loses_nothing_when_the_store_is_away(monkeypatch):
    monkeypatch.setattr("shadow_router.watch.hour.STEP_S", 0.01)
    done = threading.Event()
    given = iter([count(0, 1), StoreUnreadable("away"), count(40, 5)])

    def counted():
        found = next(given, None)
        if found is None:
            done.set()
            raise StoreUnreadable("away")
        if isinstance(found, Exception):
            raise found
        return found

    async def run():
        hour = Hour(counted)
        task = asyncio.create_task(hour.run())
        await asyncio.to_thread(done.wait, 10)
        task.cancel()
        return hour.spans

    (span,) = asyncio.run(run())
    assert span.fates[Fate.MATCH] == 4


@pytest.mark.slow
def test_page_draws_the_last_hour_when_requests_have_come(live, shadow, start):
    system = start(live.url, shadow.url)
    assert "The first bar comes 20 seconds after" in system.private_get("/")[1]
    post_many(system, 30)
    system.settled_fates()

    def drawn():
        page = system.private_get("/")[1]
        return page if "30 requests in 0 minutes" in page else None

    page = wait_until(drawn, 60, "the first bar")
    assert re.search(r'<rect class="good" x="9\d\d\.\d"', page)
    assert re.search(r'<polyline class="live" points="9\d\d\.\d,', page)
