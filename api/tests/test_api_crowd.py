"""Slow, many and hostile clients: each gets its time, and nobody else notices."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from select import select

import pytest
from api_load import BODY, Load, allow_descriptors
from api_server import ROW, free_port, start_server
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from iris_api.errors import BodyTooLarge, Overloaded
from iris_api.http.crowd import Crowd
from iris_api.http.protocol import Protocol
from iris_api.predict.admission import Admission

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n"
HALF_BODY = HALF_HEAD + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"


def open_sockets(port, content, number):
    """Send bytes on each of many sockets; return these, and when each was begun."""
    opened = []
    for _ in range(number):
        began = time.monotonic()
        connection = connect(port, content)
        connection.setblocking(False)
        opened.append((began, connection))
    return opened


async def wait_for_end(began, connection):
    """Return the status that comes, and the seconds until the connection ends."""
    loop, answer = asyncio.get_running_loop(), b""
    while chunk := await asyncio.wait_for(loop.sock_recv(connection, 65536), 60):
        answer += chunk
    connection.close()
    return answer[9:12], time.monotonic() - began


async def hold_beside_traffic(port, number):
    """Hold sockets in each of three ways while others predict; return both."""
    load = Load(port, 8)
    traffic = asyncio.create_task(load.run())
    ways = [hold(port, content, number) for content in (b"", HALF_HEAD, HALF_BODY)]
    ends = await asyncio.gather(*ways)
    load.stop()
    await traffic
    return load, ends


async def hold(port, content, number):
    """Open sockets and wait for their ends."""
    opened = await asyncio.to_thread(open_sockets, port, content, number)
    return await asyncio.gather(*(wait_for_end(*one) for one in opened))


@pytest.mark.slow
def test_nobody_notices_when_three_thousand_sockets_are_silent_or_half():
    allow_descriptors(4096)
    with start_server(stdout=subprocess.DEVNULL) as server:
        load, ends = asyncio.run(hold_beside_traffic(server.port, 1000))
        assert server.send("GET", "/readyz").status == 200
        descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    silent, half_heads, half_bodies = ends
    assert {answer for answer, _ in silent} == {b""}
    assert {answer for answer, _ in half_heads} == {b"408"}
    assert {answer for answer, _ in half_bodies} == {b"408"}
    # Of the loop's time; that of a busy machine is longer.
    assert 1.9 < min(s for _, s in silent + half_heads)
    assert 3.9 < min(s for _, s in half_bodies)
    assert max(s for _, s in half_bodies) < 45
    assert load.lost == []
    assert len(load.acknowledged) > 100
    assert descriptors < 100


@contextmanager
def serve(protocol, app=None, state=None):
    """Serve in a thread of this process; gives the port and the server."""
    config = Config(app, http=protocol, ws="none", lifespan="off", log_config=None)
    server = Server(config)
    if state is not None:
        server.server_state = state
    listener = socket.create_server(("127.0.0.1", free_port()))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1], server
    finally:
        server.force_exit = server.should_exit = True
        thread.join()


async def answer_with_a_megabyte(scope, receive, send):
    """Answer any request with more than a kernel takes at once."""
    size = 8_000_000
    headers = [(b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(size)})


def connect(port, content):
    """Return a connection on which bytes were sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=15)
    connection.sendall(content)
    return connection


@pytest.mark.slow
def test_half_a_head_is_held_for_ever_when_uvicorn_is_left_alone():
    # What the deadline is for; were this to fail, it would be superfluous.
    with serve(HttpToolsProtocol, answer_with_a_megabyte) as (port, _):
        with connect(port, HALF_HEAD) as connection:
            connection.settimeout(3)
            with pytest.raises(TimeoutError):
                connection.recv(1)


@pytest.mark.parametrize(
    ("content", "ticks", "answer"),
    [
        (b"", 20, b""),
        (HALF_HEAD, 20, b"408"),
        (HALF_BODY, 40, b"408"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100, None),
    ],
    ids=["silence", "half a head", "half a body", "an answer not read"],
)
@pytest.mark.slow(after=1)
def test_connection_ends_after_its_ticks_when_it_is(content, ticks, answer):
    crowd = Crowd(10, 75)
    app = answer_with_a_megabyte if answer is None else wait_for_ever
    with serve(Protocol, app, crowd) as (port, _), connect(port, content) as client:
        time.sleep(0.3)
        age(crowd, ticks)
        assert len(crowd.connections) == 1
        age(crowd, 1)
        if answer is not None:
            assert client.recv(65536)[9:12] == answer
            client.close()
        wait_until_empty(crowd)


async def wait_for_ever(scope, receive, send):
    """Take the request and never answer it."""
    while (await receive())["type"] != "http.disconnect":
        pass


def age(crowd, ticks):
    """Let connections age, on their own loop."""
    (connection,) = crowd.connections
    done = threading.Event()

    def grow_older():
        for _ in range(ticks):
            crowd.grow_older()
        done.set()

    connection.loop.call_soon_threadsafe(grow_older)
    assert done.wait(5)


def wait_until_empty(crowd):
    """Return when no connection is left."""
    for _ in range(300):
        if not crowd.connections:
            return
        time.sleep(0.01)
    raise AssertionError("a connection is left")


def test_refused_connection_is_cut_when_the_client_does_not_close_it():
    crowd = Crowd(10, 75)
    with serve(Protocol, wait_for_ever, crowd) as (port, _):
        with connect(port, b"nonsense\r\n\r\n") as client:
            assert client.recv(65536)[9:12] == b"400"
            age(crowd, 21)
            wait_until_empty(crowd)


@pytest.mark.slow
def test_head_is_late_when_it_comes_byte_by_byte(server):
    with connect(server.port, b"GET /livez HTTP/1.1\r\n") as client:
        client.settimeout(0.2)
        for _ in range(40):
            client.sendall(b"A: b\r\n")
            try:
                assert client.recv(65536)[9:12] == b"408"
                return
            except TimeoutError:
                pass
    raise AssertionError("never refused")


@pytest.mark.slow
def test_request_is_answered_when_the_server_was_suspended_in_the_middle_of_it():
    with start_server(stdout=subprocess.DEVNULL) as server:
        with connect(server.port, b"GET /livez HTTP/1.1\r\n") as client:
            time.sleep(0.2)
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(2.5)
            client.sendall(b"Host: x\r\n\r\n")
            server.process.send_signal(signal.SIGCONT)
            assert client.recv(65536)[9:12] == b"200"


@pytest.mark.slow
def test_kept_connection_ends_in_silence_when_it_is_idle_too_long():
    with start_server(stdout=subprocess.DEVNULL, IRIS_API_IDLE_S="1") as server:
        with connect(server.port, GET) as client:
            assert client.recv(65536)[9:12] == b"200"
            assert client.recv(65536) == b""


@pytest.mark.slow
def test_probes_are_answered_and_others_refused_when_connections_are_taken():
    settings = {"IRIS_API_CONNECTIONS": "3", "IRIS_API_IDLE_S": "3600"}
    with (
        start_server(stdout=subprocess.DEVNULL, **settings) as server,
        ExitStack() as clients,
    ):
        kept = [clients.enter_context(connect(server.port, GET)) for _ in range(3)]
        assert [client.recv(65536)[9:12] for client in kept] == [b"200"] * 3
        refused = server.predict(BODY)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        for path in ("/livez", "/readyz?x", "/health"):
            reply = server.send("GET", path)
            assert (reply.status, reply.headers["Connection"]) == (200, "close")
        # Idle ones make room after five seconds.
        assert [client.recv(1) for client in kept] == [b""] * 3
        assert server.predict(BODY).status == 200


@pytest.mark.slow
def test_connection_is_refused_at_once_when_even_the_spare_ones_are_taken():
    with (
        start_server(stdout=subprocess.DEVNULL, IRIS_API_CONNECTIONS="1") as server,
        ExitStack() as clients,
    ):
        for _ in range(66):
            last = clients.enter_context(connect(server.port, b""))
        assert last.recv(65536)[9:12] == b"503"


# ---- admission


def feeder(*chunks, end=True):
    """Return an ASGI receive that gives chunks, and then waits if there is no end."""
    left = list(chunks)

    async def receive():
        if not left:
            await asyncio.Event().wait()
        chunk = left.pop(0)
        return {
            "type": "http.request",
            "body": chunk,
            "more_body": bool(left) or not end,
        }

    return receive


def test_large_body_is_refused_and_small_one_let_in_when_there_is_no_room():
    async def drive():
        admission = Admission(room_bytes=10_000)
        half = asyncio.create_task(admission.read_body(feeder(bytes(9_000), end=False)))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await admission.read_body(feeder(bytes(3_000), bytes(3_000)))
        assert (
            len(await admission.read_body(feeder(bytes(2_000), bytes(2_000)))) == 4000
        )
        assert len(await admission.read_body(feeder(bytes(4_096)))) == 4096
        half.cancel()
        await asyncio.gather(half, return_exceptions=True)
        assert len(await admission.read_body(feeder(bytes(9_999)))) == 9999

    asyncio.run(drive())


def test_body_is_refused_when_its_chunks_exceed_the_cap():
    async def drive():
        with pytest.raises(BodyTooLarge):
            await Admission().read_body(feeder(bytes(262_144), b"x", end=False))

    asyncio.run(drive())


def test_large_bodies_are_called_a_few_at_a_time_when_they_come_together():
    async def drive():
        admission, turns, now = Admission(), [], 0

        async def read():
            await admission.read_body(feeder(bytes(30_000)))
            turns.append(now)

        tasks = [asyncio.create_task(read()) for _ in range(6)]
        while len(turns) < 6:
            now += 1
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return turns

    turns = asyncio.run(drive())
    first, second = turns[0], turns[3]
    assert turns == [first] * 3 + [second] * 3
    assert second - first == 9


def test_probe_is_answered_between_large_predictions_when_many_wait(server):
    body = json.dumps({"inputs": [ROW] * 1000}).encode()
    head = HALF_HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    content = head % len(body) + body
    with ExitStack() as clients:
        # Suspended, so that all is there when it goes on.
        server.process.send_signal(signal.SIGSTOP)
        waiting = [
            clients.enter_context(connect(server.port, content)) for _ in range(40)
        ]
        probe = clients.enter_context(connect(server.port, GET))
        server.process.send_signal(signal.SIGCONT)
        assert probe.recv(65536)[9:12] == b"200"
        before = len(select(waiting, [], [], 0)[0])
        assert [client.recv(65536)[9:12] for client in waiting] == [b"200"] * 40
    assert before < 20
