"""Small real servers for the tests: scripted, and counting what arrives."""

import asyncio
import contextlib
import json
import threading

ANSWER = {
    "model": {"name": "stub", "version": "1.0.0"},
    "predictions": [
        {
            "label": "setosa",
            "probabilities": {"setosa": 0.9, "versicolor": 0.1},
            "out_of_range": [],
        }
    ],
}
#: What the collector itself asks services for.
IDENTITY, METRICS = "/v1/model", "/metrics"


def answer_bytes(document=None, *, status="200 OK", kind="application/json", extra=""):
    """Return a whole HTTP answer."""
    body = document if isinstance(document, bytes) else json.dumps(document or ANSWER)
    body = body if isinstance(body, bytes) else body.encode()
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n"
        f"server-timing: predict;dur=0.5\r\n{extra}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


class Arrived:
    """One request as it arrived: the bytes of its head, and its body."""

    def __init__(self, head, body):
        self.head = head
        self.body = body
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.pairs = [tuple(line.split(": ", 1)) for line in lines[1:] if line]

    @property
    def is_collectors(self):
        """Return whether the collector asks, and not a client through the router."""
        names = [name for name, _ in self.pairs]
        return self.target in (IDENTITY, METRICS) and names == ["host", "accept"]

    def values(self, name):
        return [value for key, value in self.pairs if key.lower() == name]


class FakeServer:
    """
    A server on a real socket in a thread of its own.

    `script` gets each Arrived and a StreamWriter, writes what it likes, and returns
    whether the connection stays open. The collector's own questions are neither shown
    to it nor counted, but for the targets in `shows`.
    """

    def __init__(self, script=None, shows=()):
        self.shows = shows
        self.script = script or self.answer_well
        self.arrived = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @staticmethod
    async def answer_well(arrived, writer):
        writer.write(answer_bytes())
        return True

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
        assert not self._thread.is_alive()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ids(self):
        return [value for seen in self.arrived for value in seen.values("x-request-id")]

    def _run(self):
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self):
        self._stop = asyncio.Event()
        self._tasks = set()
        server = await asyncio.start_server(
            self._talk, "127.0.0.1", self.port, backlog=1024
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        # What was accepted just before is in a task that has not begun yet: cancelled
        # now, it would never close its connection.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(others, timeout=0.02)
        # Whatever became of its task, no connection is left open.
        for transport in list(self._loop._transports.values()):
            transport.abort()
        await asyncio.sleep(0.01)

    async def _talk(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            while (arrived := await self._read(reader)) is not None:
                if arrived.is_collectors and arrived.target not in self.shows:
                    writer.write(answer_bytes({}, status="404 Not Found"))
                    continue
                self.arrived.append(arrived)
                if not await self.script(arrived, writer):
                    break
                await writer.drain()
            writer.close()
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()
            # Cancelled while a peer did not read: nothing else would close it.
            writer.transport.abort()
            self._tasks.discard(asyncio.current_task())

    @staticmethod
    async def _read(reader):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        arrived = Arrived(head, b"")
        if arrived.values("transfer-encoding"):
            parts = []
            while size := int((await reader.readline()).strip(), 16):
                parts.append(await reader.readexactly(size))
                await reader.readline()
            await reader.readline()
            arrived.body = b"".join(parts)
        else:
            length = int((arrived.values("content-length") or ["0"])[0])
            arrived.body = await reader.readexactly(length)
        return arrived
