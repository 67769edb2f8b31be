"""HTTP as bytes: what is refused, what is answered, and never in two ways."""

import json
import socket
import time

import http_cases
import pytest
from api_server import memory_growth
from http_cases import BODY, CHUNKED, GET, LAST, LENGTH, TE, coded, post, statuses

REFUSED = {
    **http_cases.REFUSED,
    "a length of 2^64-1": (413, post(b"Content-Length: %d\r\n" % (2**64 - 1))),
    "a length above the cap": (413, post(b"Content-Length: 262145\r\n", b"")),
    "a length above the cap, after zeros": (
        413,
        post(b"Content-Length: 00000000000000262145\r\n", b""),
    ),
}

ANSWERED = {
    "chunks": ([200], coded(b"chunked")),
    "chunks in capitals": ([200], coded(b"CHUNKED")),
    "an extension of a chunk": (
        [200],
        coded(b"chunked", CHUNKED.replace(b"\r\n", b";a=b\r\n", 1)),
    ),
    "a trailer": ([200], coded(b"chunked", CHUNKED[:-2] + b"A: b\r\n\r\n")),
    "white space around a length": (
        [200],
        post(b"Content-Length: \t %d \t \r\n" % len(BODY)),
    ),
    "zeros before a length": ([200], post(b"Content-Length: 000%d\r\n" % len(BODY))),
    "a coding that is no header": ([200], post(b"Transfer_Encoding: x\r\n" + LENGTH)),
    "no length": ([400], post(b"", b"")),
    "a body of GET": ([200], GET + b"Content-Length: 5\r\n\r\nhello"),
    "chunks of GET": ([200], GET + TE + b"chunked\r\n\r\n1\r\n{\r\n0\r\n\r\n"),
    "an absolute target": ([200], b"GET http://x/livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a fragment": ([200], b"GET /livez#a HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a bad escape": ([404], b"GET /livez%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
    "two slashes": ([404], b"GET //livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a line end in a query": ([200], b"GET /livez?%0a HTTP/1.1\r\nHost: x\r\n\r\n"),
    "two spaces": ([200], b"GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "line ends before it": ([200], b"\r\n\r\n" + GET + b"\r\n"),
    "Latin-1 in a value": ([200], GET + b"A: \xff\r\n\r\n"),
    "a method of others": ([405], b"PURGE /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "an expectation": ([100, 200], post(b"Expect: 100-continue\r\n" + LENGTH)),
    "a path of 15 KB": ([404], b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 15000)),
    "three at once": ([200] * 3, (GET + b"\r\n") * 3),
    "three predictions at once": ([200] * 3, post(LENGTH) * 3),
}

ENDED = {
    "HTTP/1.0": ([200], b"GET /livez HTTP/1.0\r\n\r\n"),
    "an expectation in HTTP/1.0": (
        [200],
        post(b"Expect: 100-continue\r\n" + LENGTH, version=b"1.0"),
    ),
    "the word to close": ([200], GET + b"Connection: close\r\n\r\n" + GET + b"\r\n"),
    "nonsense after a request": ([200, 400], post(LENGTH) + b"GARBAGE\r\n\r\n"),
    "a body without a length": ([400, 400], post(b"")),
    "a tunnel to a path": ([405], b"CONNECT /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "an offer of HTTP/2": (
        [200],
        post(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + LENGTH),
    ),
    "a request in the body of an upgrade": (
        [400],
        post(
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: %d\r\n"
            % len(LAST),
            LAST,
        )
        + LAST,
    ),
    "more at once than are kept": ([200] * 17 + [503], (GET + b"\r\n") * 30),
}


def exchange(port, *pieces):
    """Send pieces; return what comes until the server closes, which it must."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("case", REFUSED)
def test_request_is_refused_once_and_the_connection_ends_when_it_has(server, case):
    status, content = REFUSED[case]
    answer = exchange(server.port, content)
    assert statuses(answer) == [status]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert len(body) <= 4096
    problem = json.loads(body)
    assert problem["status"] == status
    lines = head.lower().splitlines()
    assert b"content-type: application/problem+json" in lines
    assert b"connection: close" in lines
    assert b"x-request-id: " + problem["request_id"].encode() in lines


@pytest.mark.parametrize("case", ANSWERED)
def test_next_request_is_answered_when_the_one_before_has(server, case):
    expected, content = ANSWERED[case]
    assert statuses(exchange(server.port, content + LAST)) == [*expected, 200]


@pytest.mark.parametrize("case", ENDED)
def test_connection_ends_after_its_answers_when_there_is(server, case):
    expected, content = ENDED[case]
    assert statuses(exchange(server.port, content)) == expected


@pytest.mark.parametrize("size", [1, 7, 100])
def test_request_is_read_alike_when_it_comes_in_pieces(server, size):
    content = coded(b"chunked") + post(LENGTH) + LAST
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    assert statuses(exchange(server.port, *pieces)) == [200, 200, 200]


def test_body_is_no_request_when_an_upgrade_was_offered_before_it(server):
    _, content = ENDED["a request in the body of an upgrade"]
    head, end, body = content.partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(head + end)
        time.sleep(0.1)
        client.sendall(body)
        answers = b"".join(iter(lambda: client.recv(65536), b""))
    assert statuses(answers) == [400]


@pytest.mark.parametrize(
    "content",
    [
        b"GET /%b HTTP/1.1\r\n" % (b"a" * 20_000_000),
        GET + b"A: " + b"b" * 20_000_000,
        GET + b"A: b\r\n" * 3_000_000,
        coded(b"chunked", CHUNKED[:-2] + b"A: " + b"b" * 20_000_000),
        coded(b"chunked", b"1;" + b"b" * 20_000_000),
    ],
    ids=["path", "header", "headers", "trailer", "extension"],
)
def test_twenty_megabytes_are_not_kept_when_they_are_sent_as(server, content):
    with memory_growth(server.process.pid) as growth:
        assert statuses(exchange(server.port, content)) == [431]
    assert growth.bytes < 4_000_000


def test_answer_comes_when_the_client_has_closed_its_side(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(post(LENGTH))
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert statuses(answer) == [200]


@pytest.mark.parametrize("half", [b"", b"GET /livez HT", GET, post(LENGTH, b"{")])
def test_connection_ends_in_silence_when_the_client_has_sent_half(server, half):
    with socket.create_connection(("127.0.0.1", server.port), timeout=1) as client:
        client.sendall(half)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(65536) == b""


def test_request_id_is_the_clients_when_its_body_is_refused(server):
    head = b"X-Request-ID: mine\r\n" + TE + b"chunked\r\n"
    answer = exchange(server.port, post(head, b"zz\r\n"))
    assert b"x-request-id: mine\r\n" in answer


def test_trailer_is_not_a_header_when_it_has_a_name_that_matters(server):
    content = post(TE + b"chunked\r\n", CHUNKED[:-2] + b"X-Request-ID: t\r\n\r\n")
    assert b"x-request-id: t\r\n" not in exchange(server.port, content + LAST)


def test_white_space_after_a_value_is_not_part_of_it_when_it_is_sent(server):
    answer = exchange(server.port, GET + b"X-Request-ID: mine \t\r\n\r\n" + LAST)
    assert b"x-request-id: mine\r\n" in answer


@pytest.mark.parametrize("digits", [21, 4_300, 4_301, 10_000])
@pytest.mark.parametrize("path", ["/v1/predict", "/v2/models/iris_model/infer", "/x"])
def test_length_of_many_digits_is_refused_when_any_path_gets_it(server, path, digits):
    content = post(b"Content-Length: %0*d\r\n" % (digits, len(BODY)))
    content = content.replace(b"/v1/predict", path.encode(), 1)
    assert statuses(exchange(server.port, content)) == [400]
