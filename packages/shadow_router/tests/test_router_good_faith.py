"""Only what live answered is evidence: refusals and malformed requests are none."""

import asyncio
import contextlib

import pytest
from router_fakes import ANSWER, FakeServer, answer_bytes
from router_system import post_many, wait_until
from test_router_lanes import compared

from shadow_router.collector.sending import Sender
from shadow_router.request.statuses import Standing, standing_of
from shadow_router.settings import Settings
from shadow_router.store import Batch, Store, read_totals
from shadow_router.values import LOST, Difference, Exchange, Fate
from shadow_router.verdict.verdict import loss_of

GOOD = 30
BAD = b'{"inputs": "none"}'
FOUND = {"type": "about:blank", "title": "Unprocessable Content", "status": 422}


def answering_bad(*statuses, document=FOUND, kind="application/problem+json"):
    """Return a server that refuses BAD, each time by its number, and answers others."""

    async def script(arrived, writer):
        number = len(arrived.body) - len(BAD)
        status = statuses[number % len(statuses)]
        if b"none" not in arrived.body:
            writer.write(answer_bytes())
        elif status:
            writer.write(answer_bytes(document, status=f"{status} Said", kind=kind))
        else:
            await asyncio.sleep(60)
        return True

    return FakeServer(script)


def answering_otherwise():
    """Return a server that takes BAD, by its number, in each of the ways OTHERWISE."""

    async def script(arrived, writer):
        if b"none" not in arrived.body:
            writer.write(answer_bytes())
            return True
        status, more, _ = OTHERWISE[len(arrived.body) - len(BAD)]
        if not status:
            await asyncio.sleep(60)
        more = {"document": FOUND, "kind": "application/problem+json"} | more
        writer.write(answer_bytes(**more, status=f"{status} Said"))
        return True

    return FakeServer(script)


def send_bad(system, times):
    with contextlib.closing(system.client()) as client:
        for number in range(times):
            # Another body each time: none of them is a repeat.
            body = BAD + b" " * number
            headers = {"content-type": "application/json"}
            client.request("POST", "/v1/predict", body, headers)
            client.getresponse().read()


def evidence_of(system):
    """Return what gates, page and metrics are made from, without counts of fates."""
    report = system.report()
    latencies = [(one["role"], one["clock"], one["n"]) for one in report["latency_ms"]]
    tallies = report["evidence"]
    pairs = {name: sum(s["live"].values()) for name, s in tallies["sketches"].items()}
    counted = (tallies["requests"], tallies["errors"], tallies["breaks"])
    return counted, report["unique_inputs"], pairs, sorted(latencies), report["loss"]


def test_refusals_by_live_are_not_copied(start, shadow):
    refusals = (401, 403, 408, 413, 429, 503, 302, 304, 409, 411, 412, 421, 431)
    with answering_bad(*refusals) as live:
        system = start(live.url, shadow.url)
        post_many(system, 3)
        send_bad(system, len(refusals))
        fates = system.settled_fates()
        assert fates == {"match": 3, "skipped_live_failed": len(refusals)}
        assert len(shadow.arrived) == 3
        # Nor are they due: nothing was lost.
        assert system.report()["loss"] == 0


def test_refusals_by_both_are_counted_apart(start):
    faults = (400, 404, 405, 406, 415, 422)
    with answering_bad(*faults) as live, answering_bad(*faults) as shadow:
        system = start(live.url, shadow.url)
        post_many(system, GOOD)
        system.settled_fates()
        before = evidence_of(system)
        send_bad(system, 2 * GOOD)
        fates = system.settled_fates()
        assert fates == {"match": GOOD, "client_error_match": 2 * GOOD}
        assert evidence_of(system) == before


#: What a shadow may make of a request that live answers 422 with FOUND.
OTHERWISE = (
    (400, {}, "status 400 instead of 422"),
    (500, {}, "status 500"),
    (200, {"document": ANSWER}, "status 200 instead of 422"),
    (422, {"kind": "text/html"}, "content type text/html instead of"),
    (422, {"document": {"detail": "no"}}, "the document: field"),
    (422, {"document": b"no"}, "the document is text instead of an object"),
    (0, {}, "no whole answer within 2 s"),
)


def test_shadow_that_takes_bad_requests_otherwise_is_seen_and_decides_nothing(start):
    with answering_bad(422) as live, answering_otherwise() as shadow:
        system = start(live.url, shadow.url, BREAKER_FAILURES=3)
        post_many(system, GOOD)
        system.settled_fates()
        before = evidence_of(system)
        send_bad(system, len(OTHERWISE))
        fates = system.settled_fates()
        assert fates == {"match": GOOD, "client_error_differs": len(OTHERWISE)}
        assert evidence_of(system) == before
        shown = system.report()["discrepancies"]
        assert {one["fate"] for one in shown} == {"client_error_differs"}
        found = sorted(one["reason"] for one in shown)
        for reason, (_, _, beginning) in zip(
            found, sorted(OTHERWISE, key=lambda one: one[2]), strict=True
        ):
            assert reason.startswith(beginning)
        assert "client_error_differs" in system.private_get("/")[1]
        assert system.metric("shadow_breaker_open") == 0


def test_verdict_is_that_of_the_good_requests_after_4000_malformed_ones(tmp_path):
    good = [compared(n, request_body=b'{"inputs": [%d]}' % n) for n in range(50)]
    bad = [
        compared(n, b"{}", live_status=422, request_body=b"%d" % n, live_ms=0.01)
        for n in range(4000)
    ]
    alone, both = tmp_path / "alone", tmp_path / "both"
    totals = []
    for directory, items in ((alone, good), (both, good + bad)):
        directory.mkdir()
        store = Store(directory)
        store.write(Batch(items))
        store.close()
        totals.append(read_totals(directory))
    assert totals[0].tallies == totals[1].tallies
    assert totals[0].latencies == totals[1].latencies
    assert totals[0].versions == totals[1].versions


@pytest.mark.parametrize("fate", [Fate.CLIENT_ERROR_MATCH, Fate.CLIENT_ERROR_DIFFERS])
def test_malformed_requests_neither_are_lost_nor_hide_what_is(fate):
    fates = {Fate.MATCH: 90, Fate.DROPPED_QUEUE: 10}
    assert loss_of(fates) == loss_of(fates | {fate: 100_000}) == 0.1


def test_every_status_has_one_standing():
    assert {standing_of(status) for status in range(-1, 1100)} == set(Standing)
    answered = [s for s in range(1100) if standing_of(s) is Standing.ANSWERED]
    assert answered == [s for s in range(200, 300) if s != 206]
    at_fault = [s for s in range(1100) if standing_of(s) is Standing.AT_FAULT]
    assert {400, 404, 405, 406, 410, 414, 415, 422} <= set(at_fault)
    assert all(400 <= status < 500 for status in at_fault)


LATE = Difference(Fate.SHADOW_TIMEOUT, "late")


class Waiting:
    """A shadow that answers when told to."""

    def __init__(self):
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def call(self, exchange):
        self.asked += 1
        await self.may_answer.wait()
        return LATE


class Switches:
    is_killed = False


def exchange(status):
    return Exchange("id", 1, "POST", b"/", (), b"", status, {}, 1.0, b"")


def test_malformed_requests_that_hang_leave_most_calls_to_others():
    async def run():
        shadow = Waiting()
        settings = Settings(shadow_concurrency=8, breaker_failures=1)
        sender = Sender(settings, shadow, Switches())
        hanging = [asyncio.create_task(sender.send(exchange(422))) for _ in range(2)]
        await asyncio.sleep(0)
        for _ in range(3):
            assert await sender.send(exchange(422)) is Fate.SKIPPED_LIVE_FAILED
        other = asyncio.create_task(sender.send(exchange(200)))
        await asyncio.sleep(0)
        assert shadow.asked == 3
        shadow.may_answer.set()
        await asyncio.wait([*hanging, other])
        assert await sender.send(exchange(422)) == LATE

    asyncio.run(run())


def test_malformed_requests_wait_for_each_other_when_none_hangs():
    async def run():
        shadow = Waiting()
        sender = Sender(Settings(shadow_concurrency=4), shadow, Switches())
        burst = [asyncio.create_task(sender.send(exchange(422))) for _ in range(50)]
        await asyncio.sleep(0)
        shadow.may_answer.set()
        assert await asyncio.gather(*burst) == [LATE] * 50

    asyncio.run(run())


def test_open_breaker_keeps_its_probes_for_what_is_evidence():
    async def run():
        sender = Sender(Settings(breaker_failures=1), Waiting(), Switches())
        sender.watch(compared(0)._replace(difference=LATE))
        assert sender.is_breaker_open
        for _ in range(3):
            assert await sender.send(exchange(400)) is Fate.SKIPPED_LIVE_FAILED
        assert await sender.send(exchange(200)) is Fate.DROPPED_BREAKER

    asyncio.run(run())


def test_malformed_requests_are_not_lost_when_there_is_no_room(start, live):
    with answering_bad(422) as live:
        # No collector: what is copied stays in the queue, and is given up at the stop.
        system = start(live.url, live.url, only="router", QUEUE_ITEMS=10)
        send_bad(system, 20)
        post_many(system, 8)
        assert system.stop() == 0
        # A collector takes the books over.
        late = start(live.url, live.url, only="collector")
        fates = wait_until(
            lambda: {k: n for k, n in late.audit()["fates"].items() if n}
        )
        assert fates == {
            "skipped_live_failed": 20,
            "dropped_shutdown": 5,
            "dropped_queue": 3,
        }
        assert late.audit()["balances"]
        assert {name for name in fates if name in LOST} == {
            "dropped_shutdown",
            "dropped_queue",
        }
