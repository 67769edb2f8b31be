"""P16 and P17: the shadow is left alone when it fails, and live comes first."""

import contextlib
import json
import os
import signal
import statistics
import threading
import time
from pathlib import Path

import pytest
from lean_server import LeanServer
from router_fakes import FakeServer, answer_bytes
from router_system import post, post_many, wait_until

from shadow_router.collector.breaker import PROBE_S, Breaker
from shadow_router.router.shedding import Shedder


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_breaker_lets_a_probe_through_each_second_when_open():
    clock = Clock()
    breaker = Breaker(3, clock)
    assert [breaker.note(True) for _ in range(3)] == [False, False, True]
    assert breaker.is_open
    admitted = 0
    for tick in range(100):
        clock.now = tick / 10
        admitted += breaker.admits()
    assert admitted == 9 == int(9.9 / PROBE_S)
    assert breaker.note(False)
    assert not breaker.is_open and breaker.admits()


def test_breaker_stays_closed_when_failures_are_not_in_a_row():
    breaker = Breaker(3, Clock())
    for has_failed in [True, True, False] * 10:
        breaker.note(has_failed)
        assert breaker.admits()


def test_breaker_never_opens_when_its_limit_is_zero():
    breaker = Breaker(0, Clock())
    assert not any(breaker.note(True) for _ in range(1000))
    assert breaker.admits()


def window(shedder, live_ms, count=100):
    for _ in range(count):
        shedder.note(live_ms)
    return shedder.close_window()


def test_shedding_halves_the_copies_when_live_stays_slow():
    shedder = Shedder(3.0)
    assert [window(shedder, 2.0) for _ in range(3)] == [1, 1, 1]
    shares = [window(shedder, 400.0) for _ in range(5)]
    assert shares == [1, 1, 0.5, 0.25, 0.125]
    assert [window(shedder, 2.0) for _ in range(4)] == [0.25, 0.5, 1, 1]


@pytest.mark.parametrize("live_ms", [40.0, 2.0])
def test_nothing_is_shed_when_live_is_little_slower(live_ms):
    shedder = Shedder(3.0)
    window(shedder, 2.0)
    assert [window(shedder, live_ms) for _ in range(6)] == [1] * 6


def test_nothing_is_shed_when_slow_windows_are_not_in_a_row():
    shedder = Shedder(3.0)
    for _ in range(10):
        assert window(shedder, 2.0) == 1
        assert window(shedder, 400.0) == 1


def test_slow_becomes_usual_when_it_lasts():
    shedder = Shedder(3.0)
    window(shedder, 2.0)
    shares = [window(shedder, 400.0) for _ in range(60)]
    assert min(shares) == 1 / 64
    assert shares[-1] == 1


def test_nothing_is_shed_when_switched_off_or_with_few_answers():
    assert window(Shedder(0), 400.0) == 1
    shedder = Shedder(3.0)
    window(shedder, 2.0)
    assert [window(shedder, 400.0, 1) for _ in range(10)] == [1] * 10


async def fail(arrived, writer):
    writer.write(answer_bytes(status="503 Service Unavailable"))
    return True


@pytest.mark.slow
def test_arrivals_fall_to_probes_and_recover_when_the_shadow_only_fails(live, start):
    with FakeServer(fail) as shadow:
        system = start(live.url, shadow.url, BREAKER_FAILURES=10, SHADOW_CONCURRENCY=4)
        began = time.monotonic()
        post_many(system, 500, "failing")
        fates = system.settled_fates()
        probes = time.monotonic() - began + 1
        assert fates["shadow_error"] == len(shadow.arrived) == len(set(shadow.ids()))
        # Four may be under way when the tenth fails.
        assert 10 <= fates["shadow_error"] <= 13 + probes
        assert fates["shadow_error"] + fates["dropped_breaker"] == 500
        assert system.metric("shadow_breaker_open") == 1
        assert "gets a probe a second" in system.log
        shadow.script = FakeServer.answer_well
        with contextlib.closing(system.client()) as client:
            wait_until(
                lambda: post(client, 1) == 200
                and system.metric("shadow_breaker_open") == 0
            )
        assert "the shadow answers again" in system.log
        before = system.settled_fates()["match"]
        post_many(system, 100, "well")
        assert system.settled_fates()["match"] == before + 100


def exit_code(system):
    done = system.run("verdict", "--json")
    bundle = json.loads(done.stdout)
    assert bundle["verdict"]["exit_code"] == done.returncode
    return done.returncode, bundle["verdict"]["reason"]


@pytest.mark.slow
def test_verdict_is_fail_when_the_shadow_only_fails_and_the_breaker_opens(live, start):
    with FakeServer(fail) as shadow:
        system = start(live.url, shadow.url, BREAKER_FAILURES=10)
        post_many(system, 300)
        fates = system.settled_fates()
        assert fates["dropped_breaker"] > 200
        code, reason = exit_code(system)
    assert code == 1
    assert reason.startswith("errors: ") and "was left out" in reason


@pytest.mark.slow
def test_verdict_is_invalid_when_copies_are_only_lost(live, shadow, start):
    system = start(live.url, shadow.url, BREAKER_FAILURES=10)
    post_many(system, 50, "compared")
    assert system.settled_fates() == {"match": 50}
    collector = system.child("collector")
    os.kill(collector, signal.SIGSTOP)
    post_many(system, 50, "lost")
    os.kill(collector, signal.SIGKILL)
    fates = system.settled_fates()
    assert fates.pop("match") >= 50 and set(fates) == {"dropped_crash"}
    code, reason = exit_code(system)
    assert code == 3
    assert "was lost" in reason


@pytest.mark.slow
def test_copies_are_shed_and_come_back_when_live_slows_down(shadow, start):
    is_slow = threading.Event()

    async def answer(arrived, writer):
        if is_slow.is_set():
            import asyncio

            await asyncio.sleep(1)
        return await FakeServer.answer_well(arrived, writer)

    with FakeServer(answer) as live:
        system = start(live.url, shadow.url, SHED_RATIO=3)
        stop = threading.Event()

        def send(seed):
            with contextlib.closing(system.client()) as client:
                while not stop.is_set():
                    assert post(client, seed) == 200
                    time.sleep(0.05)

        threads = [threading.Thread(target=send, args=(n,)) for n in range(60)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(3)
            assert system.metric("shadow_shed_share") == 0
            is_slow.set()
            wait_until(lambda: system.metric("shadow_shed_share") > 0.6, 30)
            wait_until(lambda: system.report()["fates"]["dropped_shed"] > 20)
            assert "of the copies go" in system.log
            is_slow.clear()
            wait_until(lambda: system.metric("shadow_shed_share") == 0, 30)
        finally:
            stop.set()
            for thread in threads:
                thread.join(10)
        before = system.settled_fates()
        post_many(system, 50, "after")
        after = system.settled_fates()
        assert after["match"] == before["match"] + 50
        assert after["dropped_shed"] == before["dropped_shed"]


@pytest.mark.slow
def test_collector_yields_to_live_and_router_when_they_share_a_machine(
    live, shadow, start
):
    system = start(live.url, shadow.url)
    collector, router = system.child("collector"), system.child("router")
    ours = os.getpriority(os.PRIO_PROCESS, router)
    # Nineteen is as nice as Linux lets anyone be.
    assert os.getpriority(os.PRIO_PROCESS, collector) == min(19, ours + 5)
    autogroup = Path(f"/proc/{collector}/autogroup")
    if autogroup.exists():
        assert autogroup.read_text().split()[-1] == "5"


def latencies_ms(system, count):
    found = []
    with contextlib.closing(system.client()) as client:
        for number in range(count):
            began = time.perf_counter()
            assert post(client, number) == 200
            found.append((time.perf_counter() - began) * 1e3)
    return statistics.quantiles(found, n=100)


def share_beside(one, other):
    """Return the share of the processors that one takes while both want all of them."""
    both = (one, other)
    before = [shadow.eaten_s() for shadow in both]
    for shadow in both:
        shadow.thaw_all()

    def eaten():
        return [s.eaten_s() - then for s, then in zip(both, before, strict=True)]

    # Counted in processor time, so that a busy machine only takes longer.
    wait_until(lambda: sum(eaten()) >= 2, 60, "two seconds of a processor")
    for shadow in both:
        shadow.freeze_all()
    ours, its = eaten()
    return ours / (ours + its)


@pytest.mark.slow
def test_hungry_shadow_does_not_starve_live_when_it_is_nice(start, record_property):
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(LeanServer())
        systems = {}
        for niceness in (0, 19):
            hungry = LeanServer("--hungry", "4", str(niceness), niceness=niceness)
            shadow = stack.enter_context(hungry)
            # Patient: how long the nice one waits for its turn is not the question.
            names = {"name": f"n{niceness}", "SHADOW_TIMEOUT_S": 600}
            systems[niceness] = (start(live.url, shadow.url, **names), shadow)
            shadow.freeze_all()
        p99 = {0: [], 19: []}
        for _ in range(3):
            for niceness, (system, shadow) in systems.items():
                shadow.thaw_all()
                p99[niceness].append(latencies_ms(system, 300)[98])
                shadow.freeze_all()
        for niceness, found in p99.items():
            record_property(f"p99_ms_nice_{niceness}", statistics.median(found))
            print(
                f"p99 of live, shadow at {niceness}: {statistics.median(found):.1f} ms"
            )
        nice, other = systems[19][1], systems[0][1]
        assert [os.getpriority(0, int(pid)) for pid in nice.hungry()] == [19] * 4
        assert share_beside(nice, other) < 0.2
        for _, shadow in systems.values():
            # The server alone; what was hungry beside it stays frozen.
            shadow.thaw()
        for system, _ in systems.values():
            assert system.settled_fates(60) == {"match": 900}
