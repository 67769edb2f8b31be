"""Request ids: whose is taken, and that ours are told apart."""

import pytest
from api_server import send_bytes


def ask(port, *fields):
    """Return the request ids of the answer to a request with given header lines."""
    lines = b"".join(field + b"\r\n" for field in fields)
    head = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    answer = send_bytes(port, head + lines + b"\r\n").split(b"\r\n\r\n")[0]
    _, *headers = answer.lower().split(b"\r\n")
    return [h.split(b": ")[1] for h in headers if h.startswith(b"x-request-id")]


def test_request_id_is_the_first_that_is_well_formed_when_there_are_several(server):
    sent = [b"X-Request-ID: a b", b"x-request-id: second", b"X-REQUEST-ID: third"]
    assert ask(server.port, *sent) == [b"second"]


@pytest.mark.parametrize(
    "value", [b"a\tb", b"a\x7f", b"a\xe2\x80\xa8b", b"\xff", b"a,b", b"a;b", b"a/b"]
)
def test_request_id_is_made_when_a_byte_could_do_harm(server, value):
    (found,) = ask(server.port, b"X-Request-ID: " + value)
    assert len(found) == 16 and int(found, 16) >= 0


def test_request_ids_differ_when_they_are_made(server):
    found = {ask(server.port)[0] for _ in range(200)}
    assert len(found) == 200
