"""Live is asked for its metrics: seldom, with care, and no answer is no fault."""

import asyncio
import contextlib
import json

import pytest
from router_fakes import METRICS, FakeServer, answer_bytes
from router_metrics import (
    ALIKE,
    EDGES,
    HOSTILE,
    MOVED,
    TABLE,
    CountingLive,
    exposition,
    times,
)
from router_system import post_many, refused_url, wait_until

from shadow_router.http.http_client import HttpClient, parse_origin
from shadow_router.watch import drift_watch
from shadow_router.watch.drift_watch import DriftWatch


def watched(url, until, monkeypatch, within_s=5.0):
    """Return the drift after live was asked again and again, as soon as it is so."""
    monkeypatch.setattr(drift_watch, "STEP_S", 0.01)

    async def watch():
        watching = DriftWatch(HttpClient(parse_origin(url)))
        task = asyncio.create_task(watching.run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not until(watching.drift):
                    await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
        watching.close()
        # The server sees the end before it is stopped itself.
        await asyncio.sleep(0.05)
        return watching.drift

    return asyncio.run(watch())


def showing(write):
    """Return a live whose metrics are what `write` writes."""

    async def script(arrived, writer):
        assert arrived.target == METRICS
        return await write(writer)

    return FakeServer(script, shows=(METRICS,))


def test_live_is_asked_as_little_as_can_be(monkeypatch):
    async def answer(writer):
        writer.write(answer_bytes(exposition({"x": (EDGES, ALIKE, TABLE)})))
        return True

    with showing(answer) as live:
        found = watched(live.url, lambda drift: drift is not None, monkeypatch)
        assert found.table_rows == 150
        asked = live.arrived[0]
    assert (asked.method, asked.body) == ("GET", b"")
    assert [name for name, _ in asked.pairs] == ["host", "accept"]


async def write_endless(writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
    while True:
        writer.write(b"model_reference_rows 150\n" * 1000)
        await writer.drain()


async def write_large(writer):
    text = exposition({"x": (EDGES, ALIKE, TABLE)})
    writer.write(answer_bytes(text + b"# " + b"x" * 10_000_000))
    return True


async def write_forbidden(writer):
    text = exposition({"x": (EDGES, ALIKE, TABLE)})
    writer.write(answer_bytes(text, status="401 Unauthorized"))
    return True


async def write_cut(writer):
    writer.write(answer_bytes(exposition({"x": (EDGES, ALIKE, TABLE)}))[:-10])
    return False


async def write_nothing(writer):
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    "write", [write_endless, write_large, write_forbidden, write_cut, write_nothing]
)
@pytest.mark.slow
def test_live_that_shows_no_metrics_is_no_fault(monkeypatch, write):
    monkeypatch.setattr(drift_watch, "_DEADLINE_S", 0.2)
    with showing(write) as live:
        enough = lambda _: len(live.arrived) >= 3  # noqa: E731
        assert watched(live.url, enough, monkeypatch) is None
        assert len(live.arrived) >= 3


def test_live_that_is_away_is_no_fault(monkeypatch):
    assert watched(refused_url(), lambda _: False, monkeypatch, 0.1) is None


def test_live_is_asked_once_at_a_time(monkeypatch):
    open_now, most = [], []

    async def answer_late(writer):
        open_now.append(writer)
        most.append(len(open_now))
        await asyncio.sleep(0.05)
        open_now.remove(writer)
        writer.write(answer_bytes(b""))
        return True

    with showing(answer_late) as live:
        watched(live.url, lambda _: len(most) >= 4, monkeypatch)
    assert len(most) >= 4 and max(most) == 1


def test_what_is_older_than_an_hour_goes(monkeypatch):
    watch = DriftWatch(HttpClient(parse_origin("http://127.0.0.1:1")))
    body = exposition({"length": (EDGES, ALIKE, TABLE)})
    assert watch._take(body, 1000.0).begin == 1000.0
    more = exposition({"length": (EDGES, times(ALIKE, 2), TABLE)})
    assert watch._take(more, 4000.0).comparisons[0].rows == 1500
    assert watch._take(b"", 4500.0).comparisons[0].rows == 1500
    found = watch._take(b"", 4700.0)
    assert (found.begin, found.comparisons[0].rows) == (4000.0, 0)
    assert watch._take(b"", 7700.0) is None


@pytest.mark.slow
def test_page_and_json_tell_the_drift_of_a_live_that_shows_metrics(shadow, start):
    features = {"length": (EDGES, ALIKE, TABLE), HOSTILE: (EDGES, MOVED, TABLE)}
    labels = {"setosa": (700, 50), "versicolor": (800, 100)}
    sure = ((0.5, 0.9, 1.0), (100, 500, 900, 0), (10, 50, 90))
    with CountingLive(features, labels, sure) as live:
        system = start(live.url, shadow.url)
        wait_until(lambda: system.report()["drift"], what="the first answer")
        post_many(system, 2)
        # Neither a client's request nor the shadow's.
        assert system.settled_fates() == {"match": 2}
        assert METRICS not in {one.target for one in shadow.arrived}

        def counted():
            drift = system.report()["drift"]
            return drift if drift["comparisons"][0]["rows"] else None

        drift = wait_until(counted, 60, "the second answer")
        found = {one["name"] or one["kind"]: one for one in drift["comparisons"]}
        assert {name: one["rows"] for name, one in found.items()} == {
            "length": 3000,
            HOSTILE: 3000,
            "labels": 3000,
            "confidence": 3000,
        }
        assert [one["state"] for one in found.values()] == [
            "no alarm",
            "alarm",
            "no alarm",
            "no alarm",
        ]
        assert found["labels"]["moved"] == pytest.approx(700 / 1500 - 1 / 3)
        page = system.private_get("/")[1]
        assert "4 comparisons, each with a chance to be wrong, and 1 alarm." in page
        assert "Drift never gates a promotion" in page
        assert "<img" not in page
        # The verdict knows nothing of it, and neither does a file.
        said = json.loads(system.run("verdict", "--json").stdout)
        assert "drift" not in said
