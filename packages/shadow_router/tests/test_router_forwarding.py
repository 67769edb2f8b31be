"""P1 and P10: the client's bytes are live's, and live never sees the shadow."""

import asyncio
import contextlib
import itertools
import socket
import string
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from router_fakes import FakeServer, answer_bytes
from router_system import (
    System,
    free_port,
    post,
    raw_exchange,
    read_answer,
    refused_url,
    wait_until,
)
from test_router_faults import FAULTS

TOKEN = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=12)
# Any byte that may stand in a header's value, latin-1 and not only ASCII.
VALUE = st.binary(max_size=30).map(
    lambda raw: bytes(b for b in raw if b >= 0x20 and b != 0x7F).strip()
)
HEADERS = st.lists(st.tuples(TOKEN.map(lambda name: f"z-{name}"), VALUE), max_size=5)
TARGET = st.text(string.ascii_letters + string.digits + "/%?&=;:@!$'()*+,~._-")
METHOD = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
STATUS = st.sampled_from([200, 201, 204, 301, 304, 400, 404, 418, 422, 500, 503])


BREAKS = itertools.cycle(
    script for name, (script, _) in FAULTS.items() if name != "endless body"
)


async def break_in_turn(arrived, writer):
    return await next(BREAKS)(arrived, writer)


@pytest.fixture(scope="module")
def trio(tmp_path_factory):
    """One live and three routers: shadow well, shadow unsampled, shadow broken."""
    root = tmp_path_factory.mktemp("trio")
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(FakeServer())
        shadow = stack.enter_context(FakeServer())
        routes = "mirror:\n- POST /v1/predict\n- GET /v1/predict\n"
        broken = stack.enter_context(FakeServer(break_in_turn))
        urls = {"on": shadow.url, "off": shadow.url, "broken": broken.url}
        systems = [
            stack.enter_context(
                System(
                    root / name,
                    live.url,
                    url,
                    rules=f"profile: retrain\n{routes}",
                    SAMPLE_RATE=0 if name == "off" else 1,
                )
            )
            for name, url in urls.items()
        ]
        yield live, shadow, systems


def encode_request(method, target, headers, body, is_chunked):
    lines = [f"{method} {target} HTTP/1.1\r\nHost: example\r\n".encode()]
    lines.append(b"X-Request-ID: fixed-id\r\n")
    lines += [name.encode() + b": " + value + b"\r\n" for name, value in headers]
    if is_chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n\r\n")
        if body:
            lines.append(b"%x\r\n%b\r\n" % (len(body), body))
        lines.append(b"0\r\n\r\n")
    else:
        if body:
            lines.append(b"Content-Length: %d\r\n" % len(body))
        lines.append(b"\r\n" + body)
    return b"".join(lines)


def fields(head):
    """Return status and end-to-end headers, names in lower case, in order."""
    lines = head.split(b"\r\n")
    pairs = [line.partition(b": ") for line in lines[1:] if line]
    hop = (b"connection", b"transfer-encoding")
    kept = [(n.lower(), v) for n, _, v in pairs if n.lower() not in hop]
    return lines[0].split(b" ")[1], kept


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=METHOD,
    path=st.one_of(st.just("v1/predict"), TARGET),
    headers=HEADERS,
    body=st.binary(max_size=2000),
    is_chunked=st.booleans(),
    status=STATUS,
    answer_headers=HEADERS,
    answer=st.binary(max_size=2000),
    is_answer_chunked=st.booleans(),
)
@pytest.mark.slow
def test_forwarding_gives_the_bytes_of_live_when_shadow_is_on_off_or_broken(
    trio,
    method,
    path,
    headers,
    body,
    is_chunked,
    status,
    answer_headers,
    answer,
    is_answer_chunked,
):
    live, _, systems = trio
    has_body = status not in (204, 304)

    async def script(arrived, writer):
        lines = [b"HTTP/1.1 %d Whatever\r\n" % status]
        lines += [n.encode() + b": " + v + b"\r\n" for n, v in answer_headers]
        lines.append(b"x-request-id: fixed-id\r\n")
        sent = answer if has_body and method != "HEAD" else b""
        if not has_body:
            lines.append(b"\r\n")
        elif is_answer_chunked:
            lines.append(b"transfer-encoding: chunked\r\n\r\n")
            if sent:
                lines.append(b"%x\r\n%b\r\n" % (len(sent), sent))
            if method != "HEAD":
                lines.append(b"0\r\n\r\n")
        else:
            lines.append(b"content-length: %d\r\n\r\n" % len(answer))
            lines.append(sent)
        writer.write(b"".join(lines))
        return False

    live.script = script
    live.arrived.clear()
    request = encode_request(method, f"/{path}", headers, body, is_chunked)
    is_head = method == "HEAD"
    direct_head, direct_body = raw_exchange(live.port, request, is_head)
    answers = [raw_exchange(s.public, request, is_head) for s in systems]
    assert answers[0] == answers[1] == answers[2]
    assert fields(answers[0][0]) == fields(direct_head)
    assert answers[0][1] == direct_body

    direct, *forwarded = live.arrived
    assert len(forwarded) == 3
    for seen in forwarded:
        assert (seen.method, seen.target) == (direct.method, direct.target)
        assert seen.body == direct.body == body
        framing = ("transfer-encoding", "content-length")
        expected = [(n.lower(), v) for n, v in direct.pairs if n.lower() not in framing]
        assert [(n, v) for n, v in seen.pairs if n not in framing] == expected


@pytest.mark.slow
def test_live_sees_no_marker_and_shadow_no_secret_when_all_is_mirrored(
    live, shadow, start
):
    system = start(live.url, shadow.url)
    secrets = b"Cookie: a=canary\r\nAuthorization: canary\r\nX-API-Key: canary\r\n"
    request = (
        b"POST /v1/predict?q=1 HTTP/1.1\r\nHost: example\r\nX-Request-ID: one\r\n"
        b"Content-Type: application/json\r\n" + secrets + b"Content-Length: 2\r\n"
        b"traceparent: 00-" + b"a" * 32 + b"-00f067aa0ba902b7-01\r\n\r\n{}"
    )
    raw_exchange(live.port, request)
    raw_exchange(system.public, request)
    assert system.settled_fates() == {"match": 1}
    direct, forwarded = live.arrived
    assert [(n.lower(), v) for n, v in direct.pairs] == forwarded.pairs
    assert shadow.arrived[0].target == "/v1/predict?q=1"
    assert b"canary" not in shadow.arrived[0].head
    assert [name for name, _ in shadow.arrived[0].pairs] == [
        "host",
        "x-request-id",
        "content-type",
        "content-length",
    ]


@pytest.mark.slow
def test_shadow_gets_a_header_when_it_is_asked_for(live, shadow, start):
    system = start(live.url, shadow.url, COPY_HEADERS="X-API-Key, traceparent")
    request = (
        b"POST /v1/predict HTTP/1.1\r\nHost: e\r\nX-API-Key: given\r\n"
        b"traceparent: given too\r\n"
        b"Cookie: a=canary\r\nContent-Length: 2\r\n\r\n{}"
    )
    raw_exchange(system.public, request)
    system.settled_fates()
    assert shadow.arrived[0].values("x-api-key") == ["given"]
    assert shadow.arrived[0].values("traceparent") == ["given too"]
    assert not shadow.arrived[0].values("cookie")


@pytest.mark.slow(after=1)
@pytest.mark.parametrize("given_id", [b"", b"has space", b"x" * 129, b"\xff"])
def test_request_id_is_made_when_absent_or_malformed(live, shadow, start, given_id):
    system = start(live.url, shadow.url, name=f"data{len(given_id)}", only="router")
    line = b"X-Request-ID: " + given_id + b"\r\n" if given_id else b""
    head, _ = raw_exchange(
        system.public, b"GET / HTTP/1.1\r\nHost: e\r\n" + line + b"\r\n"
    )
    made = live.ids()[0]
    assert made.isalnum()
    assert (b"x-request-id", made.encode()) in fields(head)[1]


def test_answer_is_a_502_problem_when_live_refuses(shadow, start):
    system = start(refused_url(), shadow.url, only="router")
    head, body = raw_exchange(
        system.public, b"GET /a HTTP/1.1\r\nHost: e\r\nX-Request-ID: mine\r\n\r\n"
    )
    assert head.startswith(b"HTTP/1.1 502 ")
    assert b"content-type: application/problem+json\r\n" in head
    assert b"x-request-id: mine\r\n" in head
    assert body == b'{"type": "about:blank", "title": "Bad Gateway", "status": 502}'


@pytest.mark.slow
def test_answer_is_a_504_problem_when_live_hangs(shadow, start):
    async def hang(arrived, writer):
        await wait_forever()

    with FakeServer(hang) as live:
        system = start(live.url, shadow.url, LIVE_TIMEOUT_S=0.2)
        with contextlib.closing(system.client()) as client:
            assert post(client, 1) == 504
        assert system.settled_fates() == {"skipped_live_failed": 1}
        assert not shadow.arrived


async def wait_forever():
    import asyncio

    await asyncio.Event().wait()


@pytest.mark.slow
def test_connection_ends_early_when_live_breaks_a_long_answer(shadow, start):
    async def break_off(arrived, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n" + b"x" * 5000)
        return False

    with FakeServer(break_off) as live:
        system = start(live.url, shadow.url)
        request = b"POST /v1/predict HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\n\r\n{}"
        with socket.create_connection(system.public_at, timeout=5) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                everything = stream.read()
        assert everything.endswith(b"x" * 5000)
        assert b"content-length: 900000" in everything
        assert system.settled_fates() == {"skipped_live_failed": 1}


@pytest.mark.slow
@pytest.mark.parametrize("is_chunked", [True, False])
def test_long_bodies_pass_and_are_skipped_when_over_the_cap(
    live, shadow, start, is_chunked
):
    system = start(live.url, shadow.url, BODY_CAP_BYTES=1000)
    body = bytes(range(256)) * 2000
    request = encode_request("POST", "/v1/predict", [], body, is_chunked)
    head, _ = raw_exchange(system.public, request)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert live.arrived[0].body == body
    assert system.settled_fates() == {"skipped_too_large": 1}
    assert not shadow.arrived


@pytest.mark.slow
@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize("surplus", [1, 1024, 40_000])
def test_bodies_just_over_the_cap_pass_at_once_when_sent_in_one_piece(
    live, shadow, start, is_chunked, surplus
):
    system = start(live.url, shadow.url, BODY_CAP_BYTES=1000, LIVE_TIMEOUT_S=5)
    body = b"x" * (1000 + surplus)
    request = encode_request("POST", "/v1/predict", [], body, is_chunked)
    head, _ = raw_exchange(system.public, request)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert live.arrived[0].body == body
    assert system.settled_fates() == {"skipped_too_large": 1}


@pytest.mark.slow
def test_early_answer_is_passed_on_when_the_upload_has_come_to_a_halt(shadow, start):
    def refuse_early():
        connection, _ = server.accept()
        # Others only look whether live is there, or ask for its artefact.
        while not connection.recv(65536).startswith(b"POST"):
            connection.close()
            connection, _ = server.accept()
        with connection:
            connection.sendall(
                b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n"
            )
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=refuse_early)
        thread.start()
        live_url = f"http://127.0.0.1:{server.getsockname()[1]}"
        system = start(live_url, shadow.url, BODY_CAP_BYTES=1000, LIVE_TIMEOUT_S=8)
        head = b"POST /v1/predict HTTP/1.1\r\nHost: e\r\nContent-Length: 90000\r\n\r\n"
        with socket.create_connection(system.public_at, timeout=4) as connection:
            connection.sendall(head + b"x" * 5000)
            assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.slow
def test_shadow_is_told_of_an_encoding_when_live_is(live, shadow, start):
    system = start(live.url, shadow.url)
    headers = [("Content-Encoding", b"gzip")]
    raw_exchange(
        system.public, encode_request("POST", "/v1/predict", headers, b"{}", False)
    )
    assert system.settled_fates() == {"match": 1}
    assert shadow.arrived[0].values("content-encoding") == ["gzip"]


@pytest.mark.slow
@pytest.mark.parametrize("is_chunked", [True, False])
def test_long_answers_pass_and_are_skipped_when_over_the_cap(shadow, start, is_chunked):
    body = bytes(range(256)) * 2000

    async def answer_long(arrived, writer):
        if is_chunked:
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        else:
            writer.write(answer_bytes(body))
        return True

    with FakeServer(answer_long) as live:
        system = start(live.url, shadow.url, BODY_CAP_BYTES=1000)
        request = encode_request("POST", "/v1/predict", [], b"{}", False)
        assert raw_exchange(system.public, request)[1] == body
        assert system.settled_fates() == {"skipped_too_large": 1}


def test_answer_arrives_piece_by_piece_when_live_streams(shadow, start):
    go_on = threading.Event()

    async def stream_slowly(arrived, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"5\r\nfirst\r\n")
        await asyncio.to_thread(go_on.wait, 10)
        writer.write(b"4\r\nlast\r\n0\r\n\r\n")
        return True

    with FakeServer(stream_slowly) as live:
        system = start(live.url, shadow.url, only="router")
        with socket.create_connection(system.public_at, timeout=5) as connection:
            connection.sendall(b"GET /stream HTTP/1.1\r\nHost: e\r\n\r\n")
            seen = b""
            while b"first" not in seen:
                seen += connection.recv(4096)
            go_on.set()
            while not seen.endswith(b"0\r\n\r\n"):
                seen += connection.recv(4096)
        assert b"4\r\nlast\r\n" in seen


@pytest.mark.slow
def test_only_listed_requests_arrive_when_many_kinds_are_sent(live, shadow, start):
    system = start(live.url, shadow.url)
    with contextlib.closing(system.client()) as client:
        for method in ("GET", "PUT", "DELETE", "PATCH", "POST"):
            for path in ("/", "/v1/predict", "/v1/predict/", "/V1/predict", "/metrics"):
                client.request(method, path)
                client.getresponse().read()
    assert system.settled_fates() == {"match": 1, "skipped_method": 24}
    assert [(a.method, a.target) for a in shadow.arrived] == [("POST", "/v1/predict")]


@pytest.mark.slow
def test_early_disconnect_still_gets_its_comparison_when_live_answers(shadow, start):
    import asyncio

    async def answer_late(arrived, writer):
        await asyncio.sleep(0.2)
        return await FakeServer.answer_well(arrived, writer)

    with FakeServer(answer_late) as live:
        system = start(live.url, shadow.url)
        request = encode_request("POST", "/v1/predict", [], b"{}", False)
        with socket.create_connection(system.public_at) as connection:
            connection.sendall(request)
            wait_until(lambda: live.arrived)
        wait_until(lambda: shadow.arrived)
        assert system.settled_fates() == {"match": 1}


@pytest.mark.slow
def test_pipelined_requests_are_answered_in_order_when_sent_at_once(start):
    async def echo(arrived, writer):
        writer.write(answer_bytes(arrived.target.encode()))
        return True

    with FakeServer(echo) as live:
        system = start(live.url, f"http://127.0.0.1:{free_port()}", only="router")
        with socket.create_connection(system.public_at, timeout=5) as connection:
            for path in (b"/a", b"/b", b"/c"):
                connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: e\r\n\r\n")
            with connection.makefile("rb") as stream:
                bodies = [read_answer(stream)[1] for _ in range(3)]
        assert bodies == [b"/a", b"/b", b"/c"]


@pytest.mark.slow
def test_pipelined_requests_are_refused_and_counted_when_they_are_too_many(start):
    release = threading.Event()

    async def echo(arrived, writer):
        await asyncio.to_thread(release.wait, 10)
        writer.write(answer_bytes(arrived.target.encode()))
        return True

    with FakeServer(echo) as live:
        system = start(live.url, refused_url())
        requests = [b"GET /%d HTTP/1.1\r\nHost: e\r\n\r\n" % n for n in range(100)]
        with socket.create_connection(system.public_at, timeout=10) as connection:
            connection.sendall(b"".join(requests))
            wait_until(lambda: system.report()["fates"]["skipped_refused"] == 1)
            assert [one.target for one in live.arrived] == ["/0"]
            release.set()
            with connection.makefile("rb") as stream:
                # One is being answered, and 16 wait for their turn.
                bodies = [read_answer(stream)[1] for _ in range(17)]
                head, _ = read_answer(stream)
                rest = stream.read()
        assert bodies == [b"/%d" % number for number in range(17)]
        assert head.startswith(b"HTTP/1.1 503 ")
        assert rest == b""
        assert system.settled_fates() == {"skipped_method": 17, "skipped_refused": 1}
