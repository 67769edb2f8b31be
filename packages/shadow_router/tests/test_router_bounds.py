"""P4 and P5: memory, connections and descriptors are bounded, whatever the shadow."""

import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest
from lean_server import LeanServer
from router_fakes import FakeServer
from router_system import post_many, read_answer, wait_until

MB = 1024 * 1024
BUDGET = 16 * MB
CLIENTS = 100
#: The socket between the processes, a reader of the store, the pool's threads.
SPARE = 10
#: Sent ahead of their answers, on one connection.
AT_ONCE = 10


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def send(system, first, count, size):
    """Send requests of this size on one connection, some ahead of their answers."""
    padding = b" " * (size - 2)
    with socket.create_connection(system.public_at, timeout=60) as connection:
        with connection.makefile("rb") as stream:
            for start in range(first, first + count, AT_ONCE):
                connection.sendall(
                    b"".join(
                        b"POST /v1/predict HTTP/1.1\r\nHost: e\r\n"
                        b"X-Request-ID: id-%07d\r\nContent-Length: %d\r\n\r\n{}%b"
                        % (number, size, padding)
                        for number in range(start, start + AT_ONCE)
                    )
                )
                for _ in range(AT_ONCE):
                    assert read_answer(stream)[0].startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_memory_is_bounded_when_the_shadow_is_stopped(start):
    with LeanServer() as live, LeanServer() as shadow:
        system = start(
            live.url,
            shadow.url,
            QUEUE_BYTES=BUDGET,
            QUEUE_ITEMS=10**6,
            SHADOW_TIMEOUT_S=3600,
        )
        pids = [system.child("router"), system.child("collector")]
        send(system, 0, 200, 16_000)
        assert system.settled_fates() == {"match": 200}
        before = [resident(pid) for pid in pids]
        shadow.freeze()
        senders = [
            threading.Thread(target=send, args=(system, first, 25_000, 16_000))
            for first in (1_000_000, 2_000_000)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        growth = [resident(pid) - b for pid, b in zip(pids, before, strict=True)]
        assert growth[0] < BUDGET + 20 * MB
        assert growth[1] < 20 * MB
        # Full to within one copy, and everything else is with the collector or lost.
        found = system.audit()
        report = system.private_get("/metrics")[1]
        assert f"shadow_queue_items {found['in_flight']['queue']}.0" in report
        assert 0 <= BUDGET - system.metric("shadow_queue_bytes") < 17_000
        places = sum(found["in_flight"].values())
        assert found["fates"]["dropped_bytes"] == 50_000 - places
        shadow.thaw()
        assert system.settled_fates() == {
            "match": 200 + places,
            "dropped_bytes": 50_000 - places,
        }
        assert shadow.arrivals() == {"total": 200 + places, "twice": 0}
        assert live.arrivals() == {"total": 50_200, "twice": 0}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["resets", "hangs"])
def test_connections_and_descriptors_plateau_when_the_shadow_misbehaves(
    live, start, fault
):
    import asyncio

    async def misbehave(arrived, writer):
        if fault == "hangs":
            await asyncio.Event().wait()
        writer.transport.abort()
        return False

    with FakeServer(misbehave) as shadow:
        system = start(
            live.url,
            shadow.url,
            fault,
            SHADOW_CONCURRENCY=8,
            SHADOW_TIMEOUT_S=3600 if fault == "hangs" else 2,
            QUEUE_ITEMS=50,
        )
        pids = [system.child("router"), system.child("collector")]
        before = [(descriptors(pid), threads(pid)) for pid in pids]
        for _ in range(4):
            ask_at_once(system, CLIENTS)
            # Each client and what live is asked for it; at the collector, the calls.
            assert descriptors(pids[0]) <= before[0][0] + 2 * CLIENTS
            assert descriptors(pids[1]) <= before[1][0] + SPARE + 8

        def is_as_before():
            # Connections to live that were idle for two seconds go with the next.
            ask_at_once(system, 1)
            return all(
                descriptors(pid) <= files + SPARE and threads(pid) <= tasks + SPARE
                for pid, (files, tasks) in zip(pids, before, strict=True)
            )

        wait_until(is_as_before, what="as many descriptors as before")
        if fault == "hangs":
            assert len(shadow.arrived) == 8


def ask_at_once(system, count):
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(system.public_at, timeout=20))
            for _ in range(count)
        ]
        for client in clients:
            client.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: e\r\n"
                b"Content-Length: 2\r\n\r\n{}"
            )
        for client in clients:
            with client.makefile("rb") as stream:
                assert read_answer(stream)[1]


@pytest.mark.slow
def test_descriptors_are_given_back_when_clients_vanish(live, shadow, start):
    system = start(live.url, shadow.url)
    post_many(system, 5)
    router = system.child("router")
    before = descriptors(router)
    for _ in range(200):
        with socket.create_connection(system.public_at) as client:
            client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: e\r\n")
    wait_until(lambda: descriptors(router) <= before + 2)
