"""HTTP as bytes: the router refuses what the API refuses, and passes on the rest."""

import asyncio
import json
import signal
import socket

import http_cases
import pytest
from http_cases import BODY, GET, LENGTH, REFUSED, TE, coded, post, statuses
from router_fakes import FakeServer, answer_bytes
from router_system import System, refused_url, wait_until

LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Live and a router in front of it; shared, so leave them as you found them."""
    directory = tmp_path_factory.mktemp("raw") / "data"
    with FakeServer() as live:
        with System(directory, live.url, refused_url(), only="router") as system:
            yield live, system


def exchange(port, content):
    """Send bytes; return what comes until the router closes, which it must."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(content)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("case", REFUSED)
def test_request_is_refused_as_by_the_api_when_it_has(served, case):
    live, system = served
    live.arrived.clear()
    status, content = REFUSED[case]
    answer = exchange(system.public, content)
    assert statuses(answer) == [status]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert json.loads(body)["status"] == status
    lines = head.lower().splitlines()
    assert b"content-type: application/problem+json" in lines
    assert b"connection: close" in lines
    # Broken chunks come after the head, which live may have by then.
    assert all(seen.values("transfer-encoding") for seen in live.arrived)


@pytest.mark.parametrize("case", [c for c in REFUSED if "in /" in c][:3])
def test_private_port_refuses_alike_when_a_control_character_comes(
    live, shadow, start, case
):
    system = start(live.url, shadow.url)
    status, content = REFUSED[case]
    assert statuses(exchange(system.private, content)) == [status]


ANSWERED = {
    "HTTP/1.0 without a host": b"GET /livez HTTP/1.0\r\n\r\n",
    "HTTP/1.0 with a host": b"GET /livez HTTP/1.0\r\nHost: x\r\n\r\n",
    "an expectation in HTTP/1.0": post(
        b"Expect: 100-continue\r\n" + LENGTH, version=b"1.0"
    ),
    "white space around a length": post(
        b"Connection: close\r\nContent-Length: \t %d \t \r\n" % len(BODY)
    ),
    "zeros before a length": post(
        b"Connection: close\r\nContent-Length: 000%d\r\n" % len(BODY)
    ),
    "chunks": coded(b"chunked\r\nConnection: close"),
    "a trailer": coded(
        b"chunked\r\nConnection: close", http_cases.CHUNKED[:-2] + b"A: b\r\n\r\n"
    ),
    "a line end in a query": b"GET /a?%0a HTTP/1.1\r\nHost: x\r\n" + LAST[-21:],
}


@pytest.mark.parametrize("case", ANSWERED)
def test_request_is_passed_on_once_when_it_has(served, case):
    live, system = served
    live.arrived.clear()
    assert statuses(exchange(system.public, ANSWERED[case])) == [200]
    (seen,) = live.arrived
    assert len(seen.values("host")) == 1
    assert not seen.values("a")
    assert seen.body in (b"", BODY)


def test_live_is_told_its_own_name_when_the_client_names_no_host(served):
    live, system = served
    live.arrived.clear()
    exchange(system.public, b"GET /livez HTTP/1.0\r\n\r\n")
    assert live.arrived[0].values("host") == [f"127.0.0.1:{live.port}"]


def test_white_space_after_a_value_ends_here_when_it_is_sent(served):
    live, system = served
    live.arrived.clear()
    exchange(system.public, GET + b"A: \t b c \t\r\nConnection: close\r\n\r\n")
    assert live.arrived[0].values("a") == ["b c"]


def test_length_over_the_cap_is_passed_on_at_once_when_no_body_comes(start, shadow):
    async def refuse(arrived, writer):
        writer.write(answer_bytes(status="413 Content Too Large"))
        return False

    with FakeServer(refuse) as live:
        # Were the body read, it would wait for it.
        live._read = read_head_alone
        system = start(live.url, shadow.url, only="router")
        content = post(b"Content-Length: 262145\r\n", b"")
        with socket.create_connection(system.public_at, timeout=3) as connection:
            connection.sendall(content)
            assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


async def read_head_alone(reader):
    from router_fakes import Arrived

    head = await reader.readuntil(b"\r\n\r\n")
    return Arrived(head, b"")


@pytest.mark.parametrize(
    "content",
    [
        b"GET /%b HTTP/1.1\r\n" % (b"a" * 20_000_000),
        GET + b"A: " + b"b" * 20_000_000,
        coded(b"chunked", http_cases.CHUNKED[:-2] + b"A: " + b"b" * 20_000_000),
        coded(b"chunked", b"1;" + b"b" * 20_000_000),
    ],
    ids=["path", "header", "trailer", "extension"],
)
def test_twenty_megabytes_are_not_kept_when_they_are_sent_as(served, content):
    _, system = served
    before = memory(system, "VmHWM")
    assert statuses(exchange(system.public, content)) == [431]
    assert memory(system, "VmHWM") - before < 8_000_000


def memory(system, name):
    """Return what the router process holds, or held at most, in bytes."""
    with open(f"/proc/{system.process.pid}/status") as status:
        (line,) = [line for line in status if line.startswith(name)]
    return int(line.split()[1]) * 1024


def hold(system, content, number):
    """Send unfinished requests on connections of their own; return these."""
    opened = []
    for _ in range(number):
        connection = socket.create_connection(system.public_at, timeout=20)
        connection.sendall(content)
        opened.append(connection)
    return opened


HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n"
PIECE = bytes(250_000)
UNFINISHED = {
    "a length": HEAD + b"Content-Length: 262144\r\n\r\n" + PIECE,
    "chunks": HEAD + TE + b"chunked\r\n\r\n%x\r\n%b\r\n" % (len(PIECE), PIECE),
    # The first one hangs at live, and the second waits for it.
    "a pipeline": GET
    + b"\r\n"
    + HEAD
    + b"Content-Length: 200000\r\n\r\n"
    + PIECE[:200_000],
    "an end, while live hangs": HEAD + b"Content-Length: 250000\r\n\r\n" + PIECE,
}


@pytest.mark.slow
# What comes while the router is stopped is read in the largest of pieces.
@pytest.mark.parametrize("is_stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize("case", UNFINISHED)
def test_bodies_have_a_common_budget_when_many_are_held(
    start, shadow, case, is_stopped
):
    async def hang(arrived, writer):
        if arrived.body == b"{}":
            return await FakeServer.answer_well(arrived, writer)
        await asyncio.Event().wait()

    with FakeServer(hang) as live:
        system = start(live.url, shadow.url, only="router")
        before = memory(system, "VmRSS")
        if is_stopped:
            system.process.send_signal(signal.SIGSTOP)
        opened = hold(system, UNFINISHED[case], 1000)
        system.process.send_signal(signal.SIGCONT)
        small = HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
        assert statuses(exchange(system.public, small)) == [200]
        # 1,000 of them are 200 MB and more; there is room for 34 MB, and of some of
        # it a second copy is on its way to live.
        assert memory(system, "VmHWM") - before < 100_000_000
        wait_until(lambda: "no room for more bodies" in system.log)
        for connection in opened:
            connection.close()
    assert system.log.count("no room for more bodies") == 1


@pytest.mark.slow
def test_room_is_found_again_when_the_bodies_have_gone(start, live, shadow):
    system = start(live.url, shadow.url, only="router")
    opened = hold(system, UNFINISHED["a length"], 200)
    refused = [c for c in opened if b" 503 " in peek(c)]
    assert 50 < len(refused) < 100
    for connection in opened:
        connection.close()
    whole = HEAD + b"Connection: close\r\nContent-Length: 250000\r\n\r\n" + PIECE
    for _ in range(200):
        assert statuses(exchange(system.public, whole)) == [200]


def peek(connection):
    """Return what has come within the patience for a body."""
    try:
        return connection.recv(65536)
    except OSError:
        return b""
