"""P9, P11, P13 and P14: early clients, what may be repeated, and planned stops."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import string
import struct
import time
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from router_fakes import FakeServer
from router_system import (
    System,
    is_running,
    post_many,
    raw_exchange,
    read_answer,
    wait_until,
)
from test_router_books import Traffic
from test_router_faults import FAULTS

REQUEST = (
    b"POST /v1/predict HTTP/1.1\r\nHost: e\r\nX-Request-ID: id-%d\r\n"
    b"Content-Length: 2\r\n\r\n{}"
)


@pytest.mark.slow
@pytest.mark.parametrize("is_abrupt", [True, False])
def test_comparison_is_made_when_the_client_leaves_right_after_the_answer(
    live, shadow, start, is_abrupt
):
    system = start(live.url, shadow.url, name=f"data{is_abrupt}")
    for number in range(100):
        with socket.create_connection(system.public_at, timeout=10) as client:
            client.sendall(REQUEST % number)
            assert client.recv(1) == b"H"
            if is_abrupt:
                # Lingering for no time makes closing a reset.
                linger = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert system.settled_fates() == {"match": 100}
    assert sorted(shadow.ids()) == sorted(f"id-{n}" for n in range(100))


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("listed") / "data"
    with FakeServer() as live, FakeServer() as shadow:
        with System(directory, live.url, shadow.url) as system:
            yield live, shadow, system


NEAR = st.sampled_from(
    [
        "/v1/predict",
        "/v1/predict/",
        "//v1/predict",
        "/v1//predict",
        "/V1/predict",
        "/v1/./predict",
        "/v1/x/../predict",
        "/v1/%70redict",
        "/v1/predict;a",
        "/v1/predict%3Fa",
        "/v1/predict%00",
    ]
)
PATH = st.text(string.ascii_letters + string.digits + "/%;:@.,~_-", max_size=20)
METHOD = st.sampled_from(
    "GET HEAD POST PUT PATCH DELETE OPTIONS TRACE PROPFIND REPORT PURGE".split()
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=METHOD,
    path=st.one_of(NEAR, NEAR, PATH.map(lambda rest: f"/{rest}")),
    query=st.sampled_from(["", "?", "?a=1", "?/v1/predict"]),
)
@pytest.mark.slow
def test_only_listed_requests_are_mirrored_when_methods_and_paths_are_any(
    listed, method, path, query
):
    live, shadow, system = listed
    live.arrived.clear()
    shadow.arrived.clear()
    target = f"{path}{query}"
    head, _ = raw_exchange(
        system.public,
        f"{method} {target} HTTP/1.1\r\nHost: e\r\n\r\n".encode(),
        method == "HEAD",
    )
    if any(unicodedata.category(c) == "Cc" for c in unquote(path)):
        assert head.startswith(b"HTTP/1.1 400 ")
        assert not live.arrived and not shadow.arrived
        return
    assert head.startswith(b"HTTP/1.1 200 ")
    assert [(a.method, a.target) for a in live.arrived] == [(method, target)]
    is_listed = (method, path) == ("POST", "/v1/predict")
    if is_listed:
        wait_until(lambda: shadow.arrived)
    seen.append(is_listed)
    mirrored.extend((a.method, a.target.partition("?")[0]) for a in shadow.arrived)


seen, mirrored = [], []


@pytest.mark.slow
def test_nothing_else_has_arrived_when_all_of_those_are_settled(listed):
    _, _, system = listed
    fates = system.settled_fates()
    assert set(mirrored) <= {("POST", "/v1/predict")}
    assert len(mirrored) == sum(seen) == fates.get("match", 0)
    assert fates["skipped_method"] == len(seen) - sum(seen)


async def misbehave_at_random(arrived, writer):
    kinds = ("reset mid-body", "500", "garbage", "short body", "bomb", "other label")
    # Long enough that whoever is killed is killed with something under way.
    await asyncio.sleep(random.random() * 0.02)
    if random.random() < 0.5:
        return await FakeServer.answer_well(arrived, writer)
    return await FAULTS[random.choice(kinds)][0](arrived, writer)


def kill(system, role, number):
    pid = system.child(role)
    os.kill(pid, number)
    wait_until(lambda: not is_running(pid), 40)


def freeze(system, role, _):
    pid = system.child(role)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.3)
    os.kill(pid, signal.SIGCONT)


def start_again(system, _, number):
    """End all processes by this signal and start them again."""
    pids = [system.process.pid, *system.children()]
    if number == signal.SIGTERM:
        assert system.stop() == 0
    else:
        for pid in pids:
            os.kill(pid, number)
        system.process.wait(5)
    wait_until(lambda: not any(map(is_running, pids)), 40)
    found = system.audit()
    assert found["balances"], found["differences"]
    system.start()


TROUBLE = (
    (kill, "collector", signal.SIGKILL),
    (kill, "collector", signal.SIGTERM),
    (freeze, "collector", None),
    (freeze, "router", None),
    (start_again, "", signal.SIGKILL),
    (start_again, "", signal.SIGTERM),
)


@pytest.mark.slow
def test_stop_is_in_order_when_the_collector_has_just_been_started(live, shadow, start):
    system = start(live.url, shadow.url)
    first = system.child("collector")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: set(system.children()) - {first, system.child("router")})
    assert system.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_books_balance_when_faults_and_signals_come_at_random(live, start, seed):
    order = random.Random(seed).sample(TROUBLE, len(TROUBLE))
    with FakeServer(misbehave_at_random) as shadow:
        system = start(live.url, shadow.url, QUEUE_ITEMS=100, GRACE_S=1)
        with Traffic(system) as traffic:
            for act, role, number in order:
                reached = traffic.answered + 100
                wait_until(lambda reached=reached: traffic.answered > reached, 60)
                act(system, role, number)
                system.wait_ready()
                found = system.audit()
                assert found["balances"], (act, found["differences"])
        fates = system.settled_fates()
        # What is unanswered may have been received or not; what is answered has been.
        received = sum(fates.values())
        assert traffic.answered <= received <= traffic.answered + traffic.unanswered
        assert fates["dropped_crash"] > 0
        assert fates["label_flip"] > 0
        # P6: whatever was killed or frozen, nothing was sent to the shadow twice.
        assert len(shadow.ids()) == len(set(shadow.ids()))
        assert system.stop() == 0
        found = system.audit()
        assert found["balances"] and found["unsettled"] == 0


async def talk_until_closed(port, counts, begun):
    """Send on one kept-alive connection until an answer says that it is the last."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            writer.write(REQUEST % 0)
            counts["sent"] += 1
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            length = int(head.lower().partition(b"content-length: ")[2].split()[0])
            await reader.readexactly(length)
            counts["answered"] += 1
            begun.set()
            if b"connection: close" in head.lower():
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def stop_under_load(system, clients):
    counts = {"sent": 0, "answered": 0}
    begun = [asyncio.Event() for _ in range(clients)]
    port = system.public
    talks = [asyncio.create_task(talk_until_closed(port, counts, b)) for b in begun]
    await asyncio.gather(*(event.wait() for event in begun))
    system.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*talks)
    assert await asyncio.to_thread(system.process.wait, 30) == 0
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(4))
def test_no_request_is_lost_when_told_to_stop_under_twenty_clients(start, batch):
    from lean_server import LeanServer

    async def stop_all():
        return await asyncio.gather(*(stop_under_load(s, 20) for s in systems))

    with LeanServer() as live:
        # Five at once; without copies a stop has no collector to wait for.
        systems = [
            start(live.url, live.url, f"d{batch}{n}", only="router", SAMPLE_RATE=0)
            for n in range(5)
        ]
        for system, counts in zip(systems, asyncio.run(stop_all()), strict=True):
            assert counts["sent"] == counts["answered"] >= 20
        assert live.arrivals()["total"] == sum(
            received_by(system) for system in systems
        )


def received_by(system):
    from shadow_router.run.books import find_books, read_page

    (page,) = [read_page(path) for path in find_books(system.directory)]
    assert page.received == page.decided
    return page.received


@pytest.mark.slow
def test_copies_are_compared_when_told_to_stop_right_after(live, shadow, start):
    system = start(live.url, shadow.url)
    post_many(system, 100)
    with socket.create_connection(system.public_at, timeout=10) as client:
        client.sendall(REQUEST % 100)
        with client.makefile("rb") as stream:
            assert read_answer(stream)[1]
    assert system.stop() == 0
    assert system.audit()["fates"]["match"] == 101
