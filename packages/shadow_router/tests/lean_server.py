"""
A server in a process of its own: quick, counting, and stopped by SIGSTOP if need be.

It answers every request alike and tells by `GET /arrivals` how many came and how many
ids came more than once. `LeanServer` starts it; run as a script, it serves.
"""

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from router_fakes import answer_bytes

_LENGTH = re.compile(rb"content-length: (\d+)", re.I)
_ID = re.compile(rb"x-request-id: (\S+)", re.I)
_ANSWER = answer_bytes()


class LeanServer:
    """The process, from outside."""

    def __init__(self, *arguments, niceness=0):
        self._arguments = arguments
        self._niceness = niceness

    def __enter__(self):
        command = [sys.executable, __file__, *self._arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, start_new_session=True
        )
        # Linux weighs sessions before processes.
        autogroup = Path(f"/proc/{self.process.pid}/autogroup")
        if self._niceness and autogroup.exists():
            autogroup.write_text(str(self._niceness))
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_):
        # Its session: what it forked goes with it.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(5)
        self.process.stdout.close()

    def freeze(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def freeze_all(self):
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw_all(self):
        os.killpg(self.process.pid, signal.SIGCONT)

    def hungry(self):
        """Return the pids of what is hungry beside the server."""
        pid = self.process.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    def eaten_s(self):
        """Return how much of a processor the hungry have had so far."""
        ticks = 0
        for pid in self.hungry():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def arrivals(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/arrivals")
            return json.loads(connection.getresponse().read())


class _Connection(asyncio.Protocol):
    ids = Counter()
    total = 0

    def connection_made(self, transport):
        self.transport = transport
        self.buffer = bytearray()

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end])
            found = _LENGTH.search(head)
            length = end + 4 + (int(found[1]) if found else 0)
            if len(self.buffer) < length:
                return
            del self.buffer[:length]
            self.transport.write(self._answer(head))

    def _answer(self, head):
        cls = type(self)
        if head.startswith(b"GET /arrivals "):
            twice = sum(n > 1 for n in cls.ids.values())
            return answer_bytes({"total": cls.total, "twice": twice})
        if head.startswith((b"GET /v1/model ", b"GET /metrics ")):
            # The collector asks for artefact and metrics; nobody's request.
            return _ANSWER
        cls.total += 1
        if (found := _ID.search(head)) is not None:
            cls.ids[found[1]] += 1
        return _ANSWER


async def _serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    # `--hungry N [NICENESS]`: N processes beside it that take all the time they get.
    if len(sys.argv) > 3:
        # Not `os.nice`: the checks may be nice themselves.
        os.setpriority(os.PRIO_PROCESS, 0, int(sys.argv[3]))
    for _ in range(int(sys.argv[2]) if sys.argv[1:2] == ["--hungry"] else 0):
        if not os.fork():
            while True:
                pass
    uvloop.run(_serve())
