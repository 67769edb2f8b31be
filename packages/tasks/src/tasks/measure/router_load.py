"""Requests of one random row each, sent at a steady pace or as fast as they go."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tasks.measure.replay import bounds
from tasks.system.environments import CannotStart

SEED, BODIES = 1936, 20_000

WRK = """
local requests, at = {{}}, 0
init = function(args)
  for body in io.lines({bodies!r}) do
    requests[#requests + 1] = wrk.format("POST", "/v1/predict",
      {{["Content-Type"] = "application/json"}}, body)
  end
end
request = function() at = at % #requests + 1; return requests[at] end
{delay}
done = function(summary, latency, all)
  local e = summary.errors
  print(string.format("FIGURES %d %d %d", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """Requests to send, for how long, and how quickly by the paced client."""

    folder: Path
    seconds: float
    pace: float

    @property
    def bodies(self) -> list[bytes]:
        """Return the bodies that were written, a request each."""
        return (self.folder / "bodies.jsonl").read_bytes().splitlines()

    def write(self, live: str) -> None:
        """Write bodies of one random row each."""
        with urllib.request.urlopen(f"{live}/v1/model") as answer:
            features = json.load(answer)["features"]
        generator = random.Random(SEED)
        path = self.folder / "bodies.jsonl"
        with path.open("w") as file:
            for _ in range(BODIES):
                row = {
                    one["name"]: round(generator.uniform(*bounds(one)), 4)
                    for one in features
                }
                print(json.dumps({"inputs": [row]}), file=file)

    def paced(self, port: int) -> list[float]:
        """Return milliseconds of requests on one connection, sent at a pace."""
        times: list[float] = []
        bodies, pause = self.bodies, 1 / self.pace
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            due = time.perf_counter()
            for number in range(int(self.seconds * self.pace)):
                due += pause
                time.sleep(max(0.0, due - time.perf_counter()))
                began = time.perf_counter()
                connection.sendall(request(bodies[number % len(bodies)]))
                read_answer(connection)
                times.append((time.perf_counter() - began) * 1e3)
        return times

    def full(
        self, port: int, seconds: float, connections: int = 16, pause_ms: float = 0
    ) -> float:
        """Return requests a second, with or without a pause of each connection."""
        wrk = shutil.which("wrk")
        if wrk is None:
            raise CannotStart("wrk is not installed; on Debian: apt install wrk")
        delay = f"delay = function() return {pause_ms:.3f} end" if pause_ms else ""
        script = self.folder / "wrk.lua"
        bodies = str(self.folder / "bodies.jsonl")
        script.write_text(WRK.format(bodies=bodies, delay=delay))
        command = [wrk, "--threads", "1", "--connections", str(connections)]
        command += ["--duration", f"{seconds:g}s", "--script", str(script)]
        url = f"http://127.0.0.1:{port}/v1/predict"
        done = subprocess.run([*command, url], capture_output=True, text=True)
        figures = done.stdout.partition("FIGURES ")[2].split()
        if len(figures) != 3 or figures[2] != "0":
            raise CannotStart(f"wrk met errors:\n{done.stdout}{done.stderr}")
        return int(figures[0]) / int(figures[1]) * 1e6


def request(body: bytes) -> bytes:
    """Return a request with a body."""
    head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
    head += "Content-Type: application/json"
    return f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def read_answer(connection: socket.socket) -> None:
    """Read one answer whole; raise CannotStart if it is not a success."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += receive(connection)
    head = data[:end].lower()
    if not head.startswith(b"http/1.1 200 "):
        raise CannotStart(f"the answer was {data[:200]!r}")
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(data) < end + 4 + length:
        data += receive(connection)


def receive(connection: socket.socket) -> bytes:
    """Return what has come; raise CannotStart at the end of the stream."""
    data = connection.recv(65536)
    if not data:
        raise CannotStart("the connection ended before the answer did")
    return data
