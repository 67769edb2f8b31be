"""What is written in one turn of the loop leaves in one piece, and in order."""

import asyncio

from uvicorn import Config

from iris_api.http.connection import Connection
from iris_api.http.cork import Corked
from iris_api.http.crowd import Crowd


class Wire(asyncio.Transport):
    """Keeps what is sent."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def write(self, data):
        """Keep one piece."""
        self.sent.append(bytes(data))

    def close(self):
        """Keep that it was closed."""
        self.sent.append("closed")

    abort = close

    def is_closing(self):
        """Return whether it was closed."""
        return "closed" in self.sent


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


def test_answer_is_sent_when_the_client_closes_its_side_while_it_is_corked():
    async def drive():
        wire = Wire()

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            # What the loop does at the end of what the client sends.
            if not connection.eof_received():
                wire.close()

        config = Config(app, log_config=None, lifespan="off", interface="asgi3")
        config.load()
        connection = Connection(config, Crowd(most=1, idle_s=1), {})
        connection.connection_made(wire)
        connection.data_received(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
        await asyncio.sleep(0.01)
        return wire.sent

    answer, *rest = asyncio.run(drive())
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert set(rest) == {"closed"}
