"""
What may stand between a client and live: nothing, nginx, or the router.

Each is a context that starts real processes and gives the port to send to.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tasks.measure.replay import process
from tasks.system.addresses import free_port
from tasks.system.environments import CannotStart, prepare_router

DRAIN_S = 60
#: Batches are committed far more often.
QUIET_S = 1.0

NGINX = """
daemon off;
worker_processes auto;
pid {folder}/pid;
error_log stderr error;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  upstream live {{ server {live}; keepalive 64; keepalive_requests 100000000; }}
  upstream shadow {{ server {shadow}; keepalive 64; keepalive_requests 100000000; }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  server {{
    listen 127.0.0.1:{port};
    location / {{ {mirror} proxy_pass http://live; }}
    location = /mirror {{ internal; proxy_pass http://shadow$request_uri; }}
  }}
}}
"""


@dataclass(frozen=True)
class Upstreams:
    """Where live and shadow answer, and where something never does."""

    live: str
    shadow: str
    hung: str


@dataclass(frozen=True)
class Started:
    """What clients send to, and the private URL of a router; none of others."""

    port: int
    private: str = ""
    store: Path = Path()

    def fates(self) -> Mapping[str, int]:
        """Return what became of all requests so far, once none is under way."""
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline:
            with urllib.request.urlopen(f"{self.private}/report.json") as answer:
                report = json.load(answer)
            if report["received"] == sum(report["fates"].values()):
                return dict(report["fates"])
            time.sleep(0.5)
        raise CannotStart(f"requests are still under way after {DRAIN_S} s")

    def settled_at(self) -> float:
        """
        Return when, by the monotonic clock, the last fate was committed.

        Reads the counters in the file: a report would cost the collector what is
        measured.
        """
        count, changed = -1, time.monotonic()
        while time.monotonic() < changed + QUIET_S:
            with contextlib.closing(sqlite3.connect(self.store)) as store:
                (now,) = store.execute("SELECT sum(n) FROM counters").fetchone()
            if now != count:
                count, changed = now, time.monotonic()
            time.sleep(0.01)
        return changed

    def resident_mb(self, half: str) -> float:
        """Return resident memory of the process `router` or `collector`."""
        pages = int((self._process(half) / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def core_s(self, half: str) -> float:
        """Return the seconds that `router` or `collector` had of a core so far."""
        stat = (self._process(half) / "stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _process(self, half: str) -> Path:
        mark = f"SHADOW_ROUTER_PRIVATE_PORT={self.private.rpartition(':')[2]}"
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes().split(b"\0")
                settings = (folder / "environ").read_bytes().split(b"\0")
                is_half = half.encode() in command and b"--only" in command
                if is_half and mark.encode() in settings:
                    return folder
        raise CannotStart(f"no {half} is running")


@dataclass(frozen=True)
class Direct:
    """Nothing: clients talk to live."""

    name: str = "direct"

    @contextlib.contextmanager
    def running(self, upstreams: Upstreams) -> Iterator[Started]:
        """Give live's own port."""
        yield Started(int(upstreams.live.rpartition(":")[2]))


@dataclass(frozen=True)
class Nginx:
    """nginx as a plain proxy, or with its `mirror`, which throws answers away."""

    name: str
    mirror: str = ""

    @contextlib.contextmanager
    def running(self, upstreams: Upstreams) -> Iterator[Started]:
        """Run it with a worker for each core."""
        binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if binary is None:
            raise CannotStart("nginx is not installed; on Debian: apt install nginx")
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "nginx.conf"
            text = NGINX.format(
                folder=folder,
                port=port,
                mirror=self.mirror,
                user="user root;" if Path(folder).owner() == "root" else "",
                live=upstreams.live.removeprefix("http://"),
                shadow=upstreams.shadow.removeprefix("http://"),
            )
            file.write_text(text)
            with process([binary, "-p", folder, "-c", str(file)], {}, port):
                yield Started(port)


@dataclass(frozen=True)
class Router:
    """The router with a share of the traffic sampled, all its defaults otherwise."""

    name: str
    rate: float
    is_hung: bool = False

    @contextlib.contextmanager
    def running(self, upstreams: Upstreams) -> Iterator[Started]:
        """Run router and collector with books of their own."""
        public, private = free_port(), free_port()
        shadow = upstreams.hung if self.is_hung else upstreams.shadow
        with tempfile.TemporaryDirectory() as folder:
            settings = {
                "SHADOW_ROUTER_PUBLIC_PORT": str(public),
                "SHADOW_ROUTER_PRIVATE_PORT": str(private),
                "SHADOW_ROUTER_LIVE_URL": upstreams.live,
                "SHADOW_ROUTER_SHADOW_URL": shadow,
                "SHADOW_ROUTER_SAMPLE_RATE": str(self.rate),
                "SHADOW_ROUTER_DATA_DIR": folder,
            }
            command = [str(commands() / "shadow-router"), "serve"]
            with process(command, settings, private) as url:
                wait_for(f"http://127.0.0.1:{public}/readyz")
                yield Started(public, url, Path(folder) / "comparisons.sqlite")


@cache
def commands() -> Path:
    """Install the router once; return the folder of its commands."""
    return prepare_router()


def wait_for(url: str) -> None:
    """Return once a URL answers with success."""
    deadline = time.monotonic() + DRAIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url):
            return
        time.sleep(0.05)
    raise CannotStart(f"{url} does not answer")


@contextlib.contextmanager
def hung_server() -> Iterator[str]:
    """Accept connections, read nothing, answer nothing; give the URL."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(listener.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in held:
                connection.close()


#: The second "off" shows how far two runs of the same thing are apart.
PROXIES = (
    Direct(),
    Nginx("nginx"),
    Nginx("nginx, mirror", "mirror /mirror;"),
    Router("router, shadow off", 0.0),
    Router("router, shadow 10 %", 0.1),
    Router("router, shadow 100 %", 1.0),
    Router("router, hung shadow", 1.0, is_hung=True),
    Router("router, off again", 0.0),
)
