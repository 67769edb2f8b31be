"""HTTP as bytes: what is refused, what is answered, and never in two ways."""

import json
import re
import socket
import time

import pytest
from api_server import ROW, memory_growth

BODY = json.dumps({"inputs": [ROW]}).encode()
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
TE = b"Transfer-Encoding: "


def post(headers, body=BODY, version=b"1.1"):
    """Return a prediction request with some headers of its own."""
    return (
        b"POST /v1/predict HTTP/%b\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"%b\r\n%b" % (version, headers, body)
    )


def coded(value, body=CHUNKED):
    """Return a prediction request with a transfer coding."""
    return post(TE + value + b"\r\n", body)


REFUSED = {
    # Two readings of where a request ends.
    "both lengths": (400, post(LENGTH + TE + b"chunked\r\n", CHUNKED)),
    "both lengths, turned": (400, post(TE + b"chunked\r\n" + LENGTH, CHUNKED)),
    "a length twice": (400, post(LENGTH + LENGTH)),
    "two lengths": (400, post(LENGTH + b"Content-Length: 1\r\n")),
    "a list of lengths": (400, post(b"Content-Length: 5, 5\r\n")),
    "a length with a sign": (400, post(b"Content-Length: +5\r\n")),
    "a negative length": (400, post(b"Content-Length: -1\r\n")),
    "a length in hex": (400, post(b"Content-Length: 0x10\r\n")),
    "a length with a point": (400, post(b"Content-Length: 1.0\r\n")),
    "a length with an underscore": (400, post(b"Content-Length: 1_0\r\n")),
    "an empty length": (400, post(b"Content-Length:\r\n")),
    "a length of 23 digits": (400, post(b"Content-Length: %d\r\n" % 10**22)),
    "a length of 2^64-1": (413, post(b"Content-Length: %d\r\n" % (2**64 - 1))),
    "a length above the cap": (413, post(b"Content-Length: 262145\r\n", b"")),
    "chunked twice": (400, coded(b"chunked\r\nTransfer-Encoding: chunked")),
    "chunked, chunked": (400, coded(b"chunked, chunked")),
    "chunked, identity": (400, coded(b"chunked, identity")),
    "an empty coding": (400, coded(b"")),
    "a coding after a vertical tab": (400, coded(b"\x0bchunked")),
    "a coding on a folded line": (400, coded(b"\r\n chunked")),
    "gzip": (501, coded(b"gzip")),
    "gzip, chunked": (501, coded(b"gzip, chunked")),
    "identity": (501, coded(b"identity")),
    "xchunked": (501, coded(b"xchunked")),
    "chunked in quotes": (501, coded(b'"chunked"')),
    "chunked with a parameter": (501, coded(b"chunked;q=1")),
    "chunked in HTTP/1.0": (400, post(TE + b"chunked\r\n", CHUNKED, b"1.0")),
    "a chunk size that is none": (400, coded(b"chunked", b"zz\r\n")),
    "a negative chunk": (400, coded(b"chunked", b"-1\r\n")),
    "a chunk size of 18 digits": (400, coded(b"chunked", b"f" * 18 + b"\r\n")),
    "a space after a chunk size": (400, coded(b"chunked", b"5 \r\nhello\r\n0\r\n\r\n")),
    "chunks with bare line feeds": (400, coded(b"chunked", b"1\n{\n0\n\n")),
    "a bare line feed in an extension": (
        400,
        coded(b"chunked", b"1;a\n{\r\n0\r\n\r\n"),
    ),
    "a chunk without its end": (400, coded(b"chunked", b"1\r\n{0\r\n\r\n")),
    "a length as a trailer": (
        400,
        coded(b"chunked", CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n"),
    ),
    # Lines and fields.
    "bare line feeds": (400, b"GET /livez HTTP/1.1\nHost: x\n\n"),
    "one bare line feed": (400, GET + b"A: b\nC: d\r\n\r\n"),
    "a bare carriage return": (400, GET + b"A: b\rC: d\r\n\r\n"),
    "a folded line": (400, GET + b"A: b\r\n c\r\n\r\n"),
    "a space before the colon": (400, GET + b"A : b\r\n\r\n"),
    "a space after the name of the length": (400, post(b"Content-Length : 5\r\n")),
    "NUL in a value": (400, GET + b"A: b\0\r\n\r\n"),
    "NUL in a name": (400, GET + b"A\0: b\r\n\r\n"),
    "a control character": (400, GET + b"A: b\x01\r\n\r\n"),
    "an empty name": (400, GET + b": b\r\n\r\n"),
    "no colon": (400, GET + b"nonsense\r\n\r\n"),
    "a quoted name": (400, GET + b'"A": b\r\n\r\n'),
    # The first line.
    "no host": (400, b"GET /livez HTTP/1.1\r\n\r\n"),
    "two hosts": (400, GET + b"Host: y\r\n\r\n"),
    "a method in small letters": (400, b"get /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a method that is none": (400, b"FOO /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a tunnel": (400, b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a path that is not ASCII": (400, b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"),
    "no slash": (400, b"GET livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "tabs": (400, b"GET\t/livez\tHTTP/1.1\r\nHost: x\r\n\r\n"),
    "a space in the path": (400, b"GET /li vez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a byte order mark": (400, b"\xef\xbb\xbf" + GET + b"\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"),
    "the preface of HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "no version": (400, b"GET /livez\r\n\r\n"),
    "HTTP/2.0": (505, b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n"),
    "HTTP/1.2": (400, b"GET /livez HTTP/1.2\r\nHost: x\r\n\r\n"),
    # Too much.
    "a path of 16 KiB": (431, b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 16384)),
    "a path without end": (431, b"GET /" + b"a" * 20_000),
    "a path of 1 MB": (431, b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 10**6)),
    "headers of 17 KB": (431, GET + b"A: bcdefghijklm\r\n" * 1000 + b"\r\n"),
    "line ends without end": (431, b"\r\n" * 10_000),
    "trailers of 40 KB": (431, coded(b"chunked", CHUNKED[:-2] + b"A: b\r\n" * 6700)),
}

ANSWERED = {
    "chunks": ([200], coded(b"chunked")),
    "chunks in capitals": ([200], coded(b"CHUNKED")),
    "an extension of a chunk": (
        [200],
        coded(b"chunked", CHUNKED.replace(b"\r\n", b";a=b\r\n", 1)),
    ),
    "a trailer": ([200], coded(b"chunked", CHUNKED[:-2] + b"A: b\r\n\r\n")),
    "zeros before a length": ([200], post(b"Content-Length: 000%d\r\n" % len(BODY))),
    "a coding that is no header": ([200], post(b"Transfer_Encoding: x\r\n" + LENGTH)),
    "no length": ([400], post(b"", b"")),
    "a body of GET": ([200], GET + b"Content-Length: 5\r\n\r\nhello"),
    "chunks of GET": ([200], GET + TE + b"chunked\r\n\r\n1\r\n{\r\n0\r\n\r\n"),
    "an absolute target": ([200], b"GET http://x/livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a fragment": ([200], b"GET /livez#a HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a bad escape": ([404], b"GET /livez%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
    "two slashes": ([404], b"GET //livez HTTP/1.1\r\nHost: x\r\n\r\n"),
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


def statuses(answers):
    """Return the statuses of all answers in a stream."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


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
