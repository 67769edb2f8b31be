"""What is no whole request in time is refused below the application, and counted."""

import contextlib
import json
import socket
import time

import pytest
from router_fakes import FakeServer
from router_system import System, post, post_many, raw_exchange, read_answer

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: e\r\nX-Request-ID: mine\r\n"


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    directory = tmp_path_factory.mktemp("deadlines") / "data"
    with FakeServer() as server:
        with System(directory, server.url, server.url) as system:
            yield system


def refused(system):
    return system.report()["fates"]["skipped_refused"]


def expect_problem(answer, status):
    head, body = answer
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json\r\n" in head
    assert b"connection: close\r\n" in head
    assert b"x-request-id: " in head
    assert json.loads(body)["status"] == status


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: e\r\n folded: x\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", None),
        (b"GET /" + b"a" * 16_384 + b" HTTP/1.1\r\nHost: e\r\n\r\n", 431),
        (HEAD + b"x-long: " + b"a" * 16_384 + b"\r\n\r\n", 431),
        (HEAD + b"x-endless: " + b"a" * 400_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
def test_request_is_refused_as_a_problem_when_it_is_not_http(
    system, request_bytes, status
):
    before = refused(system)
    answer = raw_exchange(system.public, request_bytes)
    expect_problem(answer, status or 400)
    # A chunk that is none comes when the app has the request: it has another fate.
    assert refused(system) == before + (status is not None)
    if b"mine" in request_bytes:
        assert b"x-request-id: mine\r\n" in answer[0]
    assert system.audit()["balances"]


def test_head_of_16_kib_is_served_when_it_is_just_within(system):
    rest = 16 * 1024 - len(HEAD) - 80
    answer = raw_exchange(
        system.public,
        HEAD + b"x-long: " + b"a" * rest + b"\r\nContent-Length: 2\r\n\r\n{}",
    )
    assert answer[0].startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_slow_clients_get_408_when_head_or_body_does_not_end(system):
    before = refused(system)
    failed = system.report()["fates"]["skipped_live_failed"]
    began = time.monotonic()
    with contextlib.ExitStack() as stack:

        def begin(data):
            connection = socket.create_connection(system.public_at, timeout=20)
            connection.sendall(data)
            return stack.enter_context(connection)

        silent, head = begin(b""), begin(HEAD)
        body = begin(HEAD + b"Content-Length: 10\r\n\r\nabc")
        trailers = begin(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx:")
        drip = begin(HEAD + b"Content-Length: 1000\r\n\r\n")
        # A byte now and then is no reason for more patience.
        while time.monotonic() < began + 3.5:
            drip.sendall(b"x")
            time.sleep(0.2)
        with silent.makefile("rb") as stream:
            assert stream.read() == b""
        for connection in (head, body, trailers, drip):
            with connection.makefile("rb") as stream:
                expect_problem(read_answer(stream), 408)
                assert stream.read() == b""
    assert time.monotonic() - began > 3.5
    assert refused(system) == before + 1
    # The app had their heads: for the books they are clients that left.
    assert system.report()["fates"]["skipped_live_failed"] == failed + 3
    assert system.audit()["balances"]


@pytest.mark.slow
def test_long_upload_is_not_late_when_it_goes_on(system):
    total = 1_500_000
    with socket.create_connection(system.public_at, timeout=20) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % total)
        # Five seconds in all: longer than any 262,144 bytes of it may take.
        for _ in range(10):
            connection.sendall(b"x" * (total // 10))
            time.sleep(0.5)
        with connection.makefile("rb") as stream:
            assert read_answer(stream)[0].startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_slow_answer_is_waited_for_when_the_request_is_whole(shadow, start):
    import asyncio

    async def answer_late(arrived, writer):
        await asyncio.sleep(5)
        return await FakeServer.answer_well(arrived, writer)

    with FakeServer(answer_late) as live:
        system = start(live.url, shadow.url, only="router")
        with contextlib.closing(system.client()) as client:
            assert post(client, 1) == 200


def test_request_is_answered_when_the_client_sends_no_more(system):
    with socket.create_connection(system.public_at, timeout=10) as connection:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            assert read_answer(stream)[0].startswith(b"HTTP/1.1 200 ")
            assert stream.read() == b""


@pytest.mark.slow
@pytest.mark.parametrize("is_chunked", [True, False])
def test_request_with_its_body_is_served_when_it_offers_an_upgrade(
    live, shadow, start, is_chunked
):
    system = start(live.url, shadow.url, only="router")
    framing = b"Content-Length: 5\r\n\r\nhello"
    if is_chunked:
        framing = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    head, _ = raw_exchange(system.public, HEAD + offer + framing)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close\r\n" in head
    assert live.arrived[0].body == b"hello"
    assert not live.arrived[0].values("upgrade")


@pytest.mark.slow
def test_connections_over_the_cap_are_refused_when_all_are_taken(live, shadow, start):
    system = start(live.url, shadow.url, CONNECTIONS=5)
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(contextlib.closing(system.client())) for _ in range(5)
        ]
        for number, client in enumerate(clients):
            assert post(client, number) == 200
        answer = raw_exchange(system.public, b"")
        expect_problem(answer, 503)
        assert b"retry-after: 1\r\n" in answer[0]
        assert post(clients[0], 1) == 200
    assert system.report()["fates"]["skipped_refused"] == 1
    post_many(system, 3)
    assert system.settled_fates() == {"match": 9, "skipped_refused": 1}


def test_earlier_requests_are_answered_first_when_garbage_follows(system):
    with socket.create_connection(system.public_at, timeout=10) as connection:
        connection.sendall(2 * (HEAD + b"Content-Length: 2\r\n\r\n{}") + b"\0garbage")
        with connection.makefile("rb") as stream:
            assert read_answer(stream)[0].startswith(b"HTTP/1.1 200 ")
            assert read_answer(stream)[0].startswith(b"HTTP/1.1 200 ")
            expect_problem(read_answer(stream), 400)
            assert stream.read() == b""


@pytest.mark.slow
def test_client_that_does_not_read_is_cut_off_when_patience_ends(shadow, start):
    async def stream_for_ever(arrived, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
            await writer.drain()

    with FakeServer(stream_for_ever) as live:
        system = start(live.url, shadow.url)
        with socket.create_connection(system.public_at, timeout=40) as connection:
            connection.sendall(b"GET /stream HTTP/1.1\r\nHost: e\r\n\r\n")
            time.sleep(12)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(1 << 20):
                    pass
        assert system.settled_fates() == {"skipped_method": 1}
