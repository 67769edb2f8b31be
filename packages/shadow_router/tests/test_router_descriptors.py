"""Processes with few descriptors serve fewer clients, and tell the others so."""

import asyncio
import contextlib
import os
import resource
import socket
import subprocess
from collections import Counter

import pytest
from router_fakes import FakeServer
from router_system import COMMAND, System, refused_url, wait_until

from shadow_router.collector.shadow_call import ShadowCaller
from shadow_router.errors import DescriptorsUsedUp
from shadow_router.http.descriptors import is_one_free
from shadow_router.http.http_client import HttpClient, parse_origin
from shadow_router.settings import Settings
from shadow_router.values import Exchange

POST = (
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 15\r\n\r\n"
    b'{"inputs": [1]}'
)
EXCHANGE = Exchange("id", 1, "POST", b"/v1/predict", (), b"{}", 200, {}, 1.0, b"{}")
REPORT = b"GET /report.json HTTP/1.1\r\nHost: localhost\r\n\r\n"


def limited(number):
    """Return what runs a command with so many descriptors at most."""
    return ("sh", "-c", f'ulimit -n {number}; exec "$@"', "sh")


@contextlib.contextmanager
def limited_system(directory, limit, script=None, **settings):
    """Run a system whose processes may have so many descriptors."""
    settings["prefix"] = limited(limit)
    with FakeServer(script) as live, FakeServer() as shadow:
        with System(directory, live.url, shadow.url, **settings) as system:
            system.live = live
            yield system


def answers_of(port, request, number):
    """Count the statuses of requests over so many connections at once."""
    with contextlib.ExitStack() as clients:
        asked = []
        for _ in range(number):
            client = socket.create_connection(("127.0.0.1", port), timeout=20)
            asked.append(clients.enter_context(client))
            client.sendall(request)
        return Counter(client.recv(65536)[9:12] for client in asked)


@pytest.mark.parametrize("limit", [64, pytest.param(96, marks=pytest.mark.slow)])
def test_every_client_is_answered_when_there_are_few_descriptors(tmp_path, limit):
    with limited_system(tmp_path / "data", limit) as system:
        found = answers_of(system.public, POST, 200)
        assert set(found) == {b"200", b"503"}
        assert found[b"200"] >= limit // 8
        # One that was turned away may still be read from.
        wait_until(lambda: answers_of(system.public, POST, 1) == {b"200": 1})
        assert answers_of(system.private, REPORT, 100).keys() == {b"200", b"503"}
        wait_until(lambda: answers_of(system.private, REPORT, 1) == {b"200": 1})
        fates = system.settled_fates()
        # Nothing of it passes for a fault of the shadow's.
        assert set(fates) == {"match", "skipped_refused"}
        wait_until(lambda: system.log.count("more were answered 503") == 2)
        said = f"a limit of {limit} descriptors allows "
        assert system.log.count(said) == 2


def test_client_is_turned_away_when_requests_of_gone_ones_are_still_at_live(tmp_path):
    async def never(arrived, writer):
        await asyncio.sleep(60)

    settings = {"LIVE_TIMEOUT_S": 60, "CONNECTIONS": 5}
    with limited_system(tmp_path / "data", 4096, never, **settings) as system:
        router = system.child("router")
        for number in range(5):
            with socket.create_connection(system.public_at, timeout=10) as gone:
                gone.sendall(POST)
                wait_until(lambda: len(system.live.arrived) > number)
        held = len(os.listdir(f"/proc/{router}/fd"))
        assert answers_of(system.public, POST, 20) == {b"503": 20}
        assert len(system.live.arrived) == 5
        assert len(os.listdir(f"/proc/{router}/fd")) <= held + 20


def test_own_want_of_descriptors_is_no_fault_of_the_shadow():
    caller = ShadowCaller(Settings(), HttpClient(parse_origin(refused_url())))

    async def call():
        # Only now, as the event loop needs some of its own.
        with no_descriptor_left():
            return await caller.call(EXCHANGE)

    with pytest.raises(DescriptorsUsedUp):
        asyncio.run(call())


@contextlib.contextmanager
def no_descriptor_left():
    """Use up what this process may open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    held = []
    try:
        while is_one_free():
            held.append(os.open("/", os.O_RDONLY))
        yield
    finally:
        list(map(os.close, held))
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("role", ["router", "collector"])
def test_start_ends_in_one_line_when_no_connection_has_a_descriptor(tmp_path, role):
    url = "http://127.0.0.1:9"
    system = System(tmp_path / "data", url, url)
    ended = subprocess.run(
        [*limited(30), *COMMAND, "serve", "--only", role],
        env=system.env,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 78
    assert ended.stderr.splitlines()[-1] == (
        "shadow-router: a limit of 30 descriptors leaves none for connections; "
        "raise it (ulimit -n)"
    )
