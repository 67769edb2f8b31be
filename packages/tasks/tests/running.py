"""What several tests of the running system share."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from tasks.system.addresses import free_port

ROOT = Path(__file__).parents[3]
SERVICES = [sys.executable, "-m", "tasks.system.services"]


class Running:
    """The processes of one start, its ports, and what it has printed."""

    started: ClassVar[list[Running]] = []

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        under: tuple[str, ...] = (),
        root: Path = ROOT,
        **settings: str,
    ) -> None:
        self.public, self.private, live, shadow = (free_port() for _ in range(4))
        self.live, self.shadow, self.prometheus = live, shadow, free_port()
        self.output = folder / "output.txt"
        self.environment = {
            **os.environ,
            "SHADOW_ROUTER_PUBLIC_PORT": str(self.public),
            "SHADOW_ROUTER_PRIVATE_PORT": str(self.private),
            "SHADOW_ROUTER_LIVE_URL": f"http://127.0.0.1:{live}",
            "SHADOW_ROUTER_SHADOW_URL": f"http://127.0.0.1:{shadow}",
            "SHADOW_ROUTER_DATA_DIR": str(folder / "data"),
            "PROMETHEUS_PORT": str(self.prometheus),
            **settings,
        }
        if "serve" in arguments:
            self.environment["IRIS_API_PORT"] = str(live)
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [*under, *SERVICES, *arguments],
                cwd=root,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(self)

    def wait_for(self, text: str, timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.05)

    def stop(self) -> int:
        """Press Ctrl-C: everything the terminal's foreground group would get."""
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            return self.process.wait(timeout=40)
        finally:
            data = ROOT / f".tox/services/prometheus-{self.prometheus}"
            shutil.rmtree(data, ignore_errors=True)

    def predict(self) -> dict[str, Any]:
        """Ask the live API for its golden row; return the answer with its id."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.live}" + "/page/data.json"
        ) as data:
            page = json.load(data)
        names = [feature["name"] for feature in page["features"]]
        row = dict(zip(names, page["examples"][0]["values"], strict=True))
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.live}" + "/v1/predict",
            json.dumps({"inputs": [row]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return {**json.load(answer), "request_id": answer.headers["X-Request-ID"]}

    def started_pids(self) -> list[int]:
        return [int(p) for p in re.findall(r"pid=(\d+)", self.output.read_text())]

    def audit(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [".tox/services/router/bin/shadow-router", "audit", "--json"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )


def end(started: list[Running]) -> None:
    """Kill what is left of each start, and forget it."""
    for one in list(started):
        Running.started.remove(one)
        process = one.process
        for pid in (process.pid, *descendants(process.pid)):
            # One that somebody has waited for may have given its number to another.
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.wait()


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return bytes(answer.read())


def health(running: Running) -> str:
    """Return the model version that the live API states; empty when it is away."""
    try:
        return str(json.loads(get(running.live, "/health"))["model_version"])
    except OSError:
        return ""


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def after_preparing(text: str) -> str:
    """Return what is said once the environments are there."""
    return re.sub(r"\A(preparing .+\n)*", "", text)


def descendants(pid: int) -> list[int]:
    """Return the processes below one, whoever started them."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(stat[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def is_free(port: int) -> bool:
    """Return whether a port can be listened at."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
