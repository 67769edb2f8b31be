"""What is written in one turn of the loop leaves in one piece, and in order."""

import asyncio

from iris_api.cork import Corked


class Wire(asyncio.Transport):
    """Keeps what is sent."""

    def __init__(self):
        self.sent = []

    def write(self, data):
        """Keep one piece."""
        self.sent.append(bytes(data))

    def close(self):
        """Keep that it was closed."""
        self.sent.append("closed")

    abort = close


def run(steps):
    """Return what is on the wire after steps, which may wait for a turn."""

    async def drive():
        wire = Wire()
        await steps(Corked(wire), wire)
        await asyncio.sleep(0)
        return wire.sent

    return asyncio.run(drive())


def test_cork_joins_what_is_written_when_it_is_one_turn():
    async def steps(corked, wire):
        corked.write(b"head ")
        corked.write(b"body")
        assert wire.sent == []
        await asyncio.sleep(0)
        corked.write(b"next")

    assert run(steps) == [b"head body", b"next"]


def test_cork_sends_what_is_held_when_it_is_closed():
    async def steps(corked, wire):
        corked.write(b"last words")
        corked.close()

    assert run(steps) == [b"last words", "closed"]


def test_cork_drops_what_is_held_when_it_is_aborted():
    async def steps(corked, wire):
        corked.write(b"half an answer")
        corked.abort()

    assert run(steps) == ["closed"]
