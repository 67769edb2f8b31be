"""
Run one server on one core, load it with wrk from another, and read what it took.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.system.addresses import free_port

SERVER_CORE, CLIENT_CORE = 0, 1
START_S = 60

# wrk prints a summary for people; this prints the figures alone, in one line.
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open({body!r}, "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency, requests)
  local e = summary.errors
  print(string.format("FIGURES %d %d %d %d %d", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Server:
    """A command that serves predictions: how it is called, and where it answers."""

    name: str
    command: list[str]
    path: str = "/v1/predict"
    body: Path | None = None
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Figures:
    """One run of wrk: requests a second, milliseconds, and what the server used."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_s_per_1000: float
    memory_mb: float


@contextmanager
def running(server: Server, body: bytes) -> Iterator[tuple[int, int]]:
    """Give process id and port of a server that answers; stop it afterwards."""
    port = free_port()
    command = [part.format(port=port) for part in server.command]
    environment = dict(os.environ)
    environment.update({k: v.format(port=port) for k, v in server.settings})
    with tempfile.TemporaryFile() as talk:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(SERVER_CORE), *command],
            env=environment,
            stdout=talk,
            stderr=talk,
            start_new_session=True,
        )
        try:
            if not _answers(process, port, server.path, body):
                talk.seek(0)
                said = talk.read().decode(errors="replace")[-3000:]
                raise SystemExit(f"{server.name} does not answer with 200:\n{said}")
            yield process.pid, port
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(
    process: subprocess.Popen[bytes], port: int, path: str, body: bytes
) -> bool:
    headers = {"Content-Type": "application/json"}
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", path, body, headers)
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    return False


def load(
    pid: int,
    port: int,
    path: str,
    body: Path,
    connections: int,
    seconds: float,
    host: str = "127.0.0.1",
) -> Figures:
    """Return what wrk measured, after a short warm-up."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("wrk is not installed; on Debian: apt install wrk")
    script = body.with_suffix(".lua")
    script.write_text(SCRIPT.format(body=str(body)))
    command = ["taskset", "--cpu-list", str(CLIENT_CORE), wrk, "--threads", "1"]
    command += ["--connections", str(connections), "--script", str(script)]
    url = f"http://{host}:{port}{path}"
    subprocess.run([*command, "--duration", "1s", url], stdout=subprocess.DEVNULL)
    before = _cpu_s(pid)
    done = subprocess.run(
        [*command, "--duration", f"{seconds:g}s", url],
        capture_output=True,
        text=True,
        check=True,
    )
    used = _cpu_s(pid) - before
    found = re.search(r"FIGURES (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if found is None:
        raise SystemExit(f"wrk said something else:\n{done.stdout}")
    requests, duration, p50, p99, errors = (int(part) for part in found.groups())
    if errors or not requests:
        raise SystemExit(f"{url}: {errors} errors in {requests} requests")
    return Figures(
        rate=requests / duration * 1e6,
        p50_ms=p50 / 1000,
        p99_ms=p99 / 1000,
        cpu_s_per_1000=used / requests * 1000,
        memory_mb=_memory_mb(pid),
    )


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _cpu_s(pid: int) -> float:
    ticks = 0
    for one in _family(pid):
        stat = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    pages = 0
    for one in _family(pid):
        pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
