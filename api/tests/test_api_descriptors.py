"""A process with few descriptors serves fewer clients, and tells the others so."""

import os
import resource
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from api_server import COMMAND, free_port, start_server
from test_api_crowd import connect

from iris_api.http.descriptors import UNLIMITED, make_room

GET = b"GET /v1/model HTTP/1.1\r\nHost: localhost\r\n\r\n"


def limited(number, *command):
    """Return a command that runs another with so many descriptors at most."""
    return ("sh", "-c", f'ulimit -n {number}; exec "$@"', "sh", *command)


def answers_of(port, number):
    """Count the statuses of requests over so many connections at once."""
    with ExitStack() as clients:
        asked = [clients.enter_context(connect(port, GET)) for _ in range(number)]
        return Counter(client.recv(65536)[9:12] for client in asked)


@pytest.mark.parametrize("limit", [48, 64])
def test_every_client_is_answered_when_there_are_few_descriptors(limit):
    command = limited(limit, COMMAND)
    with start_server(stdout=subprocess.DEVNULL, command=command) as server:
        found = answers_of(server.port, 300)
        assert set(found) == {b"200", b"503"}
        assert found[b"200"] >= limit // 4
        said = f"a limit of {limit} descriptors allows "
        assert server.talk().count(said) == 1
        # Gone clients make room, and turned-away ones are told of once.
        wait_until(lambda: answers_of(server.port, 1) == {b"200": 1})
        wait_until(lambda: "more were answered 503" in server.talk())
        answers_of(server.port, 300)
        time.sleep(0.3)
        assert server.talk().count("more were answered 503") == 1


def test_clients_are_turned_away_when_descriptors_vanish_while_it_runs():
    with start_server(stdout=subprocess.DEVNULL) as server:
        pid = server.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        last = max(map(int, os.listdir(f"/proc/{pid}/fd")))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (last + 1, hard))
        with ExitStack() as clients:
            # Between those that are open a few may be free.
            for _ in range(last):
                client = clients.enter_context(connect(server.port, b""))
            # There is nothing to answer with; but nobody waits for ever.
            with suppress(ConnectionResetError):
                assert client.recv(65536) == b""

            def is_told():
                # Those that said nothing are let go: others take their places.
                clients.enter_context(connect(server.port, b""))
                return "no descriptor is left" in server.talk()

            wait_until(is_told)
            before = processor_s(pid)
            time.sleep(0.5)
            assert processor_s(pid) - before < 0.25
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        assert answers_of(server.port, 20) == {b"200": 20}
        assert "Traceback" not in server.talk()
        assert server.talk().count("no descriptor is left") == 1


def wait_until(condition):
    """Return when a condition holds; fail when it does not come."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processor_s(pid):
    """Return how much of a processor a process has had."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def test_start_ends_in_one_line_when_no_connection_has_a_descriptor():
    ended = subprocess.run(
        limited(24, sys.executable, "-m", "iris_api"),
        env={**os.environ, "IRIS_API_PORT": str(free_port())},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 78
    assert ended.stderr == (
        "iris-api: a limit of 24 descriptors leaves none for connections; "
        "raise it (ulimit -n)\n"
    )


def test_nothing_is_said_when_there_are_enough():
    with start_server(stdout=subprocess.DEVNULL, IRIS_API_CONNECTIONS="9") as server:
        assert "descriptors" not in server.talk()


def test_room_is_what_the_limit_leaves(monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert make_room(100, reserved=10).connections == 100
        resource.setrlimit(resource.RLIMIT_NOFILE, (80, hard))
        assert make_room(100, reserved=10).limit > 170
        # As macOS has it: no limit by name, but one in truth.
        infinite = resource.RLIM_INFINITY
        monkeypatch.setattr(resource, "getrlimit", lambda _: (256, infinite))
        monkeypatch.setattr(resource, "setrlimit", refuse_much)
        assert make_room(100_000, reserved=10).limit == 10_240
        monkeypatch.setattr(resource, "getrlimit", lambda _: (infinite, infinite))
        room = make_room(100_000, reserved=10)
        assert (room.connections, room.limit) == (100_000, UNLIMITED)
    finally:
        monkeypatch.undo()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def refuse_much(_, limits):
    if limits[0] > 10_240:
        raise ValueError("not allowed")
