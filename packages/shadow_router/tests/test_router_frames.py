"""The bytes between router and collector: whole frames, in order, from known peers."""

import asyncio
import struct

import pytest

from shadow_router.errors import FrameInvalid
from shadow_router.run.frames import (
    Hello,
    Intake,
    decode_exchange,
    decode_hello,
    encode_exchange,
    encode_hello,
)
from shadow_router.values import Exchange

EXCHANGE = Exchange(
    *("id", 5, "POST", b"/a?b=\xff", ((b"x-any", b"\xff"),), b"\x00\xff", 200),
    *({"content-type": "text/\xfc"}, 1.5, b"\xfe"),
)
HELLO = encode_hello(Hello("r-1", 7))


def frame(number):
    return encode_exchange(EXCHANGE._replace(at_ns=number))


def took_in(path, pieces, wanted_after_s=0.0):
    """Return greeting and numbers that an intake hands on of what a peer sends."""

    async def serve(intake, found):
        found.append(await intake.greeting())
        await asyncio.sleep(wanted_after_s)
        await intake.hand_on(lambda one: found.append(decode_exchange(one).at_ns))

    async def run():
        found, serving = [], []

        def meet(intake):
            serving.append(asyncio.create_task(serve(intake, found)))

        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: Intake(meet), str(path))
        _, writer = await asyncio.open_unix_connection(str(path))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        writer.close()
        server.close()
        try:
            await asyncio.wait_for(serving[0], 5)
        finally:
            await asyncio.sleep(0.01)
        return found

    return asyncio.run(run())


def test_exchange_is_the_same_when_it_was_a_frame():
    assert decode_exchange(encode_exchange(EXCHANGE)[4:]) == EXCHANGE
    assert decode_hello(HELLO[4:]) == Hello("r-1", 7)


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xc0", HELLO[4:], frame(1)[4:-1]])
def test_exchange_is_refused_when_the_payload_is_none(payload):
    with pytest.raises(FrameInvalid):
        decode_exchange(payload)


def test_greeting_is_refused_when_the_payload_is_none():
    with pytest.raises(FrameInvalid):
        decode_hello(frame(1)[4:])


@pytest.mark.parametrize("size", [100_000, 100, 3, 1])
@pytest.mark.slow(after=1)
def test_frames_come_whole_and_in_order_when_they_arrive_in_pieces(tmp_path, size):
    data = HELLO + b"".join(map(frame, range(5)))
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert took_in(tmp_path / "s", pieces) == [HELLO[4:], 0, 1, 2, 3, 4]


def test_frames_wait_when_they_are_not_wanted_yet(tmp_path):
    pieces = [HELLO + frame(1), frame(2), frame(3)]
    assert took_in(tmp_path / "s", pieces, 0.1) == [HELLO[4:], 1, 2, 3]


def test_half_a_frame_is_left_out_when_the_peer_goes(tmp_path):
    assert took_in(tmp_path / "s", [HELLO + frame(1) + frame(2)[:-3]]) == [HELLO[4:], 1]


def test_nothing_is_handed_on_when_the_peer_goes_before_greeting(tmp_path):
    assert took_in(tmp_path / "s", [HELLO[:3]]) == [None]


def test_connection_is_cut_when_a_frame_says_that_it_is_endless(tmp_path):
    with pytest.raises(FrameInvalid):
        took_in(tmp_path / "s", [HELLO + frame(1), struct.pack("!I", 2**31)])
