"""A shadow that misbehaves: no client notices, and every request is accounted for."""

import asyncio
import contextlib
import json
import struct
import time

import pytest
from router_fakes import ANSWER, FakeServer, answer_bytes
from router_system import System, post, post_many, refused_url

COUNT = 300


async def reset_mid_body(arrived, writer):
    whole = answer_bytes()
    writer.write(whole[: len(whole) - 40])
    await writer.drain()
    sock = writer.get_extra_info("socket")
    # Lingering for no time makes closing a reset.
    sock.setsockopt(1, 13, struct.pack("ii", 1, 0))
    return False


async def fail(arrived, writer):
    writer.write(answer_bytes(status="500 Internal Server Error"))
    return True


async def answer_html(arrived, writer):
    writer.write(answer_bytes(b"<html>hello</html>", kind="text/html"))
    return True


async def answer_garbage(arrived, writer):
    writer.write(b"\x00\x01\x02 this is not HTTP\r\n\r\n")
    return False


async def answer_bad_json(arrived, writer):
    writer.write(answer_bytes(b'{"predictions": ['))
    return True


async def answer_nan(arrived, writer):
    document = json.dumps(ANSWER).replace("0.9", "NaN").encode()
    writer.write(answer_bytes(document))
    return True


async def answer_endlessly(arrived, writer):
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    piece = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    while True:
        writer.write(piece)
        await writer.drain()


async def answer_short(arrived, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort")
    return False


async def redirect(arrived, writer):
    location = "location: http://127.0.0.1:9/elsewhere\r\n"
    writer.write(answer_bytes(b"", status="307 Temporary Redirect", extra=location))
    return True


async def compress(arrived, writer):
    writer.write(answer_bytes(b"\x1f\x8b bomb", extra="content-encoding: gzip\r\n"))
    return True


async def flip(arrived, writer):
    document = json.loads(json.dumps(ANSWER))
    document["predictions"][0]["label"] = "versicolor"
    writer.write(answer_bytes(document))
    return True


async def hang(arrived, writer):
    await asyncio.Event().wait()


FAULTS = {
    "reset mid-body": (reset_mid_body, "shadow_error"),
    "500": (fail, "shadow_error"),
    "garbage": (answer_garbage, "shadow_error"),
    "endless body": (answer_endlessly, "shadow_error"),
    "short body": (answer_short, "shadow_error"),
    "html": (answer_html, "contract_break"),
    "bad json": (answer_bad_json, "contract_break"),
    "nan": (answer_nan, "contract_break"),
    "redirect": (redirect, "contract_break"),
    "compressed": (compress, "contract_break"),
    "other label": (flip, "label_flip"),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One system for all faults: each finds it as the one before has left it."""
    directory = tmp_path_factory.mktemp("faults") / "data"
    with FakeServer() as live, FakeServer() as shadow:
        with System(directory, live.url, shadow.url) as system:
            yield system, shadow


@pytest.mark.parametrize("name", FAULTS)
def test_shadow_faults_reach_nobody_and_are_counted_when_shadow_misbehaves(
    shared, name
):
    system, shadow = shared
    shadow.script, fate = FAULTS[name]
    shadow.arrived.clear()
    count = 60 if name == "endless body" else COUNT
    before = system.settled_fates().get(fate, 0)
    all_before = sum(system.settled_fates().values())
    post_many(system, count)
    fates = system.settled_fates()
    assert fates[fate] == before + count
    assert sum(fates.values()) == all_before + count
    # P6: not one of them arrived twice.
    assert sorted(shadow.ids()) == sorted(f"id-{i}" for i in range(count))


def test_shadow_refusal_is_counted_when_nobody_listens(live, start):
    system = start(live.url, refused_url())
    post_many(system, COUNT)
    assert system.settled_fates() == {"shadow_refused": COUNT}


def test_client_is_served_at_once_when_shadow_hangs(live, start):
    with FakeServer(hang) as shadow:
        system = start(
            live.url,
            shadow.url,
            SHADOW_TIMEOUT_S=0.3,
            SHADOW_CONCURRENCY=32,
            QUEUE_ITEMS=100,
        )
        slowest = 0.0
        with contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(contextlib.closing(system.client()))
                for _ in range(4)
            ]
            for number in range(2000):
                began = time.perf_counter()
                assert post(clients[number % 4], number, padding=4000) == 200
                slowest = max(slowest, time.perf_counter() - began)
        # A call that waited for the shadow would have taken its timeout at least.
        assert slowest < 0.3
        fates = system.settled_fates(within_s=30)
        assert set(fates) == {"shadow_timeout", "dropped_queue"}
        assert fates["shadow_timeout"] == len(shadow.ids())
        assert system.report()["verdict"]["state"] == "INVALID"


def test_shadow_recovers_when_fault_ends(live, start):
    with FakeServer(fail) as shadow:
        system = start(live.url, shadow.url)
        post_many(system, 50, "before")
        assert system.settled_fates() == {"shadow_error": 50}
        shadow.script = FakeServer.answer_well
        post_many(system, 50, "after")
        assert system.settled_fates() == {"shadow_error": 50, "match": 50}


def test_copies_are_dropped_by_bytes_when_queue_is_small(live, start):
    with FakeServer(hang) as shadow:
        system = start(
            live.url,
            shadow.url,
            SHADOW_TIMEOUT_S=0.5,
            SHADOW_CONCURRENCY=1,
            QUEUE_BYTES=1,
        )
        post_many(system, 20)
        assert system.settled_fates() == {"dropped_bytes": 20}
