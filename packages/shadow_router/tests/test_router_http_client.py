"""The client to live and shadow: exact, suspicious, and never trying twice."""

import asyncio
import time

import pytest
from router_fakes import FakeServer, answer_bytes
from router_system import refused_url

from shadow_router.errors import UpstreamBroken, UpstreamRefused, UpstreamTooLarge
from shadow_router.http.http_client import HttpClient, encode_head, parse_origin

HEAD = encode_head("POST", b"/a?", [(b"x-any", b"\xff\x80"), (b"content-length", b"2")])


def ask(url, times=1, cap=1000, timeout_s=None, freed=False):
    """Send the same request some times and return statuses and bodies."""

    async def run():
        client = HttpClient(parse_origin(url), timeout_s)
        found = []
        try:
            for _ in range(times):
                answer = await client.send(HEAD, b"{}")
                if freed:
                    answer.without_deadline()
                try:
                    found.append((answer.status, await answer.read(cap)))
                finally:
                    answer.release()
        finally:
            client.close()
            # One turn of the loop, in which cut connections are closed.
            await asyncio.sleep(0.01)
        return found

    return asyncio.run(run())


def writing(*pieces, stay=True):
    async def script(arrived, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return stay

    return script


def test_request_arrives_byte_for_byte_when_headers_are_not_text():
    with FakeServer() as server:
        ask(server.url)
        assert server.arrived[0].head == HEAD
        assert server.arrived[0].body == b"{}"


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        ("http://a", b"a:80"),
        ("https://a", b"a:443"),
        ("http://[::1]:81", b"[::1]:81"),
    ],
)
def test_origin_is_parsed_when_port_is_left_out(origin, authority):
    assert parse_origin(origin).authority == authority


def test_interim_answers_are_passed_over_when_the_server_sends_them():
    with FakeServer(
        writing(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", answer_bytes(b"ok"))
    ) as server:
        assert ask(server.url) == [(200, b"ok")]


def test_body_ends_with_the_connection_when_it_has_no_length():
    with FakeServer(writing(b"HTTP/1.1 200 OK\r\n\r\nall", stay=False)) as server:
        assert ask(server.url) == [(200, b"all")]


def test_second_answer_is_not_taken_for_that_of_the_next_request():
    # Two answers to each request: the second must never be read as an answer.
    forged = answer_bytes(b"forged")
    with FakeServer(writing(answer_bytes(b"true") + forged)) as server:
        assert ask(server.url, times=3) == [(200, b"true")] * 3


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",),
        (b"nonsense\r\n\r\n",),
        (b"",),
        (b"HTTP/1.1 200 OK\r\n" + b"x-pad: " + b"y" * 100_000,),
    ],
)
def test_answer_is_broken_when_it_is_cut_short_or_not_http(pieces):
    with FakeServer(writing(*pieces, stay=False)) as server:
        with pytest.raises(UpstreamBroken):
            ask(server.url)
        assert len(server.arrived) == 1


def test_answer_is_too_large_when_it_is_over_the_cap():
    with FakeServer(writing(answer_bytes(b"x" * 1001))) as server:
        with pytest.raises(UpstreamTooLarge):
            ask(server.url, cap=1000)


def test_connection_is_refused_when_nobody_listens():
    with pytest.raises(UpstreamRefused):
        ask(refused_url())


async def late(arrived, writer):
    await asyncio.sleep(0.3)
    writer.write(answer_bytes(b"late"))
    return True


def test_request_ends_when_its_answer_is_late():
    with FakeServer(late) as server:
        with pytest.raises(TimeoutError):
            ask(server.url, timeout_s=0.1)
        assert len(server.arrived) == 1


def test_request_on_a_kept_connection_ends_when_its_answer_is_late():
    async def second_is_late(arrived, writer):
        if len(server.arrived) > 1:
            await asyncio.sleep(0.3)
        writer.write(answer_bytes(b"ok"))
        return True

    with FakeServer(second_is_late) as server:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            ask(server.url, times=2, timeout_s=0.1)
        assert time.monotonic() - began < 0.25
        assert len(server.arrived) == 2


def test_body_ends_when_its_end_is_late_and_goes_on_without_a_deadline():
    async def slow(arrived, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
        await asyncio.sleep(0.3)
        writer.write(b"cd")
        return True

    with FakeServer(slow) as server:
        with pytest.raises(TimeoutError):
            ask(server.url, timeout_s=0.1)
        assert ask(server.url, timeout_s=0.1, freed=True) == [(200, b"abcd")]


def test_deadlines_do_not_pile_up_when_answers_come_in_time():
    async def run(url):
        client = HttpClient(parse_origin(url), 5.0)
        for _ in range(200):
            answer = await client.send(HEAD, b"{}")
            await answer.read(1000)
            answer.release()
        client.close()
        await asyncio.sleep(0.01)
        return len(client._deadlines)

    with FakeServer() as server:
        assert asyncio.run(run(server.url)) <= 1
