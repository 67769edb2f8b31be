"""Clients that keep their connections and count what is not answered."""

import asyncio
import json
import resource

from api_server import ROW

BODY = json.dumps({"inputs": [ROW]}).encode()
HEAD = (
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\n"
    b"X-Request-ID: %b\r\nContent-Length: %d\r\n\r\n"
)


class Load:
    """
    Traffic of some kept-alive clients.

    Attributes
    ----------
    acknowledged : list of str
        Request ids that were answered with 200.
    lost : list of str
        Those that were sent and not answered so.
    """

    def __init__(self, port, clients):
        self.acknowledged = []
        self.lost = []
        self._port = port
        self._clients = clients
        self._enough = False

    async def run(self):
        """Predict until nobody listens, or until told to stop."""
        names = range(self._clients)
        await asyncio.gather(*(self._predict_on(f"c{name}") for name in names))

    def stop(self):
        """Let each client end after its answer."""
        self._enough = True

    async def _predict_on(self, name):
        number = 0
        while not self._enough:
            try:
                streams = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                return
            open_ = True
            while open_ and not self._enough:
                number += 1
                open_ = await self._predict(*streams, f"{name}-{number}")
            streams[1].close()

    async def _predict(self, reader, writer, request_id):
        writer.write(HEAD % (request_id.encode(), len(BODY)) + BODY)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].split(b"\r")[0])
            await reader.readexactly(length)
        except (OSError, EOFError):
            self.lost.append(request_id)
            return False
        answered = head.startswith(b"http/1.1 200 ")
        (self.acknowledged if answered else self.lost).append(request_id)
        return b"connection: close" not in head


def allow_descriptors(number):
    """Let this process, and those it starts, open that many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= number, f"needs a hard limit of {number} descriptors, has {hard}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
