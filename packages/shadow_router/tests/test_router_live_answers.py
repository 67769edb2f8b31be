"""What live answers is passed on as it is, or is a 502: never silence or memory."""

import contextlib
import json
import socket
from pathlib import Path

import pytest
from http_cases import statuses
from router_fakes import FakeServer, answer_bytes
from router_system import System, raw_exchange, refused_url, wait_until

OK = b"HTTP/1.1 200 OK\r\n"
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSING = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
OLD = b"GET /a HTTP/1.0\r\n\r\n"
TE = b"transfer-encoding: "
CHUNKS = b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
CHUNKED = OK + TE + b"chunked\r\n\r\n" + CHUNKS


def length(value):
    return b"content-length: " + value + b"\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Live, whose answer each test sets, and a router in front of it."""
    directory = tmp_path_factory.mktemp("answers") / "data"
    with FakeServer() as live:
        with System(directory, live.url, refused_url(), only="router") as system:
            yield live, system


def say(live, content, stay=False, goes_on=b""):
    """Have live answer with bytes, and go on with others until nobody listens."""
    if not getattr(live, "stays", True):
        # A connection that live has ended and the router does not know of is a 502.
        wait_until(lambda: not connections_to(live.port), what="the end at live")
    live.stays = stay

    async def script(arrived, writer):
        writer.write(content)
        while goes_on:
            writer.write(goes_on)
            await writer.drain()
        return stay

    live.script = script


def connections_to(port):
    """Return the states of all connections to a port of this machine, but past ones."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    found = [line.split()[2:4] for line in lines]
    return [
        state
        for remote, state in found
        if int(remote.split(":")[1], 16) == port and state != "06"
    ]


def ask(system, request=CLOSING):
    """Send a request; return what comes until the router closes, which it must."""
    with socket.create_connection(system.public_at, timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def memory(system, name):
    """Return what the router process holds, or held at most, in bytes."""
    with open(f"/proc/{system.process.pid}/status") as status:
        (line,) = [line for line in status if line.startswith(name)]
    return int(line.split()[1]) * 1024


UNUSABLE = {
    **{
        f"a status of {status}": f"HTTP/1.1 {status} X\r\n".encode()
        + length(b"0")
        + b"\r\n"
        for status in ("099", "000", "600", "700", "999", "1000", "20", "2e2")
    },
    "a change of protocol": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "a change of protocol in full": b"HTTP/1.1 101 Switching Protocols\r\n"
    b"connection: upgrade\r\nupgrade: websocket\r\n\r\nhello",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n" + length(b"2") + b"\r\nab",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n" + length(b"2") + b"\r\nab",
    "another protocol": b"+OK ready\r\n\r\n",
    **{
        f"a length of {value[:12]!r}": OK + length(value) + b"\r\nabcde"
        for value in (b"+5", b"5_0", b"-5", b"5, 5", b"", b"0x5", b"5 5", b"\xb2")
    },
    "a length of 4,301 digits": OK + length(b"%04301d" % 5) + b"\r\nabcde",
    "a length of 21 digits": OK + length(b"%021d" % 5) + b"\r\nabcde",
    "a length of 2^64": OK + length(b"%d" % 2**64) + b"\r\nabcde",
    "two lengths": OK + length(b"5") + length(b"5") + b"\r\nabcde",
    "a length and chunks": OK + length(b"5") + TE + b"chunked\r\n\r\n" + CHUNKS,
    "chunks and a length": OK + TE + b"chunked\r\n" + length(b"5") + b"\r\n" + CHUNKS,
    "gzip, chunked": OK + TE + b"gzip, chunked\r\n\r\n" + CHUNKS,
    "gzip": OK + TE + b"gzip\r\n\r\nabcde",
    "identity": OK + TE + b"identity\r\n\r\nabcde",
    "two codings": OK + TE + b"gzip\r\n" + TE + b"chunked\r\n\r\n" + CHUNKS,
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + TE + b"chunked\r\n\r\n" + CHUNKS,
    "a chunk that is none": OK + TE + b"chunked\r\n\r\nzz\r\n",
    "a folded line": OK + b"a: b\r\n c\r\n" + length(b"2") + b"\r\nab",
    "a space before a colon": OK + b"a : b\r\n" + length(b"2") + b"\r\nab",
    "a control character": OK + b"a: b\x01\r\n" + length(b"2") + b"\r\nab",
    "NUL": OK + b"a: b\0\r\n" + length(b"2") + b"\r\nab",
    "a bare line feed": b"HTTP/1.1 200 OK\na: b\n\nab",
    "a head of 100 KB": OK + b"a: bcdefgh\r\n" * 9_000 + length(b"2") + b"\r\nab",
    "nothing": b"",
    "half a head": OK + b"a: b",
    "a head without its body": OK + length(b"2") + b"\r\n",
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_answer_is_a_502_and_a_line_in_the_log_when_live_sends(served, case):
    live, system = served
    say(live, UNUSABLE[case])
    lines = system.log.count("no answer of live to pass on")
    answer = ask(system)
    assert statuses(answer) == [502]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json\r\n" in head
    assert json.loads(body)["status"] == 502
    # The same fault is told once a second.
    assert system.log.count("no answer of live to pass on") - lines <= 1
    assert "Traceback" not in system.log


def test_fault_of_live_is_told_once_when_it_repeats(start, shadow):
    with FakeServer() as live:
        say(live, UNUSABLE["a status of 600"])
        system = start(live.url, shadow.url, only="router")
        for _ in range(3):
            assert statuses(ask(system)) == [502]
        told = [line for line in system.log.splitlines() if "WARNING" in line]
    assert len(told) in (1, 2)
    assert told[0].endswith(
        "no answer of live to pass on: the status of the answer is none"
    )


ENDLESS = {
    "trailers": (
        OK + TE + b"chunked\r\n\r\n2\r\nab\r\n0\r\n",
        b"a: bcdefgh\r\n" * 5_000,
    ),
    "one trailer": (OK + TE + b"chunked\r\n\r\n2\r\nab\r\n0\r\na: ", b"b" * 60_000),
    "a chunk's extension": (OK + TE + b"chunked\r\n\r\n2\r\nab\r\n1;", b"b" * 60_000),
    "extensions of small chunks": (
        OK + TE + b"chunked\r\n\r\n",
        b"1;" + b"b" * 60_000 + b"\r\na\r\n",
    ),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 2_000),
    "a header": (OK + b"a: ", b"b" * 60_000),
    "headers": (OK, b"a: bcdefgh\r\n" * 5_000),
    "a reason": (b"HTTP/1.1 200 ", b"b" * 60_000),
    "line ends": (b"", b"\r\n" * 30_000),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_answer_ends_and_is_not_kept_when_live_sends_without_end(served, case):
    live, system = served
    content, goes_on = ENDLESS[case]
    say(live, content, goes_on=goes_on)
    before = memory(system, "VmHWM")
    answer = ask(system)
    # What has begun with a body can only be broken off.
    assert statuses(answer) == ([200] if b"chunked" in content else [502])
    assert not answer.endswith(b"0\r\n\r\n")
    assert memory(system, "VmHWM") - before < 8_000_000
    what = "framing" if b"chunked" in content else "head"
    assert f"the {what} of the answer does not end" in system.log


def test_small_chunks_do_not_pile_up_when_the_client_does_not_read(served):
    live, system = served
    say(live, OK + TE + b"chunked\r\n\r\n", goes_on=b"2\r\nab\r\n" * 9_000)
    before = memory(system, "VmHWM")
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(5):
            at = socket.create_connection(system.public_at, timeout=10)
            clients.append(stack.enter_context(at))
            at.sendall(GET)
        for client in clients:
            assert client.recv(65536).startswith(OK)
        wait_until(lambda: len(live.arrived) >= 5)
        assert memory(system, "VmHWM") - before < 40_000_000


def test_trailers_are_dropped_when_live_sends_some(served):
    live, system = served
    trailers = b"x-request-id: forged\r\nset-cookie: a=b\r\nserver-timing: predict\r\n"
    say(live, CHUNKED[:-2] + trailers + b"\r\n")
    answer = ask(system)
    assert statuses(answer) == [200]
    assert answer.endswith(b"0\r\n\r\n")
    for name in (b"forged", b"set-cookie", b"server-timing"):
        assert name not in answer


def test_headers_end_here_when_live_names_them_in_connection(served):
    live, system = served
    headers = (
        b"Connection: X-One, content-length,\tx-two\r\nconnection: content-type\r\n"
        b"x-one: 1\r\nX-Two: 2\r\nx-three: 3\r\nkeep-alive: timeout=5\r\n"
        b"content-type: text/plain\r\n"
    )
    say(live, OK + headers + length(b"2") + b"\r\nab")
    head, _, body = ask(system).lower().partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:]]
    assert names == [
        *(b"x-three", b"content-type", b"content-length", b"x-request-id"),
        b"connection",
    ]
    assert body == b"ab"


def test_white_space_after_a_value_ends_here_when_live_sends_it(served):
    live, system = served
    say(live, OK + b"a: \t b c \t\r\n" + length(b"2 \t") + b"\r\nab")
    answer = ask(system)
    assert b"\r\na: b c\r\n" in answer
    assert b"\r\ncontent-length: 2\r\n" in answer


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("framing", [length(b"2"), TE + b"chunked\r\n", b""])
def test_answer_has_no_body_when_its_status_has_none(served, status, framing):
    live, system = served
    say(live, b"HTTP/1.1 " + status + b"\r\n" + framing + b"\r\nab", stay=True)
    answer = ask(system, GET + CLOSING)
    assert statuses(answer) == [int(status[:3])] * 2
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length" not in answer and b"transfer-encoding" not in answer


FORGED = answer_bytes(b"forged")


@pytest.mark.parametrize(
    ("request_line", "content"),
    [
        (b"GET /a", answer_bytes(b"true") + FORGED),
        (b"GET /a", answer_bytes(b"true") + FORGED[:1]),
        (b"GET /a", answer_bytes(b"true") + FORGED[:40]),
        (b"HEAD /a", answer_bytes(b"true")[:-2]),
        (b"HEAD /a", OK + length(b"%d" % (len(FORGED) + 9)) + b"\r\n" + FORGED),
    ],
)
def test_connection_to_live_is_not_used_again_when_more_came_than_was_asked(
    served, request_line, content
):
    live, system = served
    connections = set()

    async def script(arrived, writer):
        connections.add(writer.get_extra_info("peername"))
        writer.write(content)
        return True

    live.script = script
    request = request_line + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    for number in range(1, 4):
        head, _ = raw_exchange(system.public, request, request_line[:4] == b"HEAD")
        assert head.startswith(OK)
        assert len(connections) == number


@pytest.mark.parametrize(
    "content",
    [
        CHUNKED,
        OK + b"\r\nabcde",
        b"HTTP/1.0 200 OK\r\n\r\nabcde",
        OK + TE + b"Chunked\r\n\r\n" + CHUNKS,
    ],
)
def test_answer_ends_with_the_connection_when_the_client_speaks_http_1_0(
    served, content
):
    live, system = served
    say(live, content)
    answer = ask(system, OLD)
    assert b"transfer-encoding" not in answer.lower()
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nabcde")


def test_answer_keeps_its_length_when_the_client_speaks_http_1_0(served):
    live, system = served
    say(live, OK + length(b"5") + b"\r\nabcde")
    answer = ask(system, OLD)
    assert b"\r\ncontent-length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\nabcde")


def test_long_answer_comes_whole_when_the_client_speaks_http_1_0(served):
    live, system = served
    piece = bytes(range(256)) * 200
    say(
        live,
        OK + TE + b"chunked\r\n\r\n" + (b"c800\r\n" + piece + b"\r\n") * 40 + CHUNKS,
    )
    assert ask(system, OLD).partition(b"\r\n\r\n")[2] == piece * 40 + b"abcde"


def test_connection_is_reset_when_an_answer_breaks_off_for_http_1_0(served):
    live, system = served
    say(live, OK + TE + b"chunked\r\n\r\n2\r\nab\r\n5\r\nab")
    with socket.create_connection(system.public_at, timeout=10) as connection:
        connection.sendall(OLD)
        with pytest.raises(ConnectionResetError):
            while connection.recv(65536):
                pass


def test_trailers_of_the_shadow_are_no_headers_when_they_are_kept(live, start):
    async def answer(arrived, writer):
        body = answer_bytes().partition(b"\r\n\r\n")[2]
        writer.write(
            OK + b"content-type: application/json\r\n" + TE + b"chunked\r\n\r\n"
            b"%x\r\n%b\r\n0\r\ncontent-type: text/html\r\n\r\n" % (len(body), body)
        )
        return True

    with FakeServer(answer) as shadow:
        system = start(live.url, shadow.url)
        post = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
        raw_exchange(system.public, post)
        assert system.settled_fates() == {"match": 1}


@pytest.mark.parametrize("case", ["a status of 600", "a length of 4,301 digits"])
def test_shadow_has_failed_when_its_answer_is_not_to_be_read(live, start, case):
    with FakeServer() as shadow:
        say(shadow, UNUSABLE[case])
        system = start(live.url, shadow.url)
        post = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
        assert raw_exchange(system.public, post)[0].startswith(OK)
        assert system.settled_fates() == {"shadow_error": 1}
