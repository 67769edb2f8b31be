"""An answer that is held for the end of the turn is not lost with it."""

import asyncio

from uvicorn import Config

from shadow_router.http.crowd import Crowd
from shadow_router.http.protocol import Protocol


class Wire(asyncio.Transport):
    """Keeps what is sent; after its end, nothing is."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def write(self, data):
        """Keep one piece."""
        self.sent.append(bytes(data))

    def close(self):
        """Keep that it was closed."""
        self.sent.append("closed")

    def is_closing(self):
        """Return whether it was closed."""
        return "closed" in self.sent


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
        crowd = Crowd(most=1, body_bytes=1, on_refused=lambda: None)
        connection = Protocol(config, crowd, {})
        connection.connection_made(wire)
        connection.data_received(b"GET / HTTP/1.1\r\nHost: e\r\n\r\n")
        await asyncio.sleep(0.01)
        return wire.sent

    answer, *rest = asyncio.run(drive())
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert set(rest) == {"closed"}
