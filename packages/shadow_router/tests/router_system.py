"""The router as its users have it: real processes, real sockets, a data directory."""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from pydantic import SecretStr

from shadow_router.commands import audit

#: Rules for one client, as most tests are; with two, verdicts take both.
ONE_CLIENT = "profile: retrain\nclient_share: 1\n"
COMMAND = [sys.executable, "-W", "error", "-m", "shadow_router"]


def free_port():
    while True:
        # Below the ports that the kernel gives to clients: none takes it meanwhile.
        port = random.SystemRandom().randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def refused_url():
    return f"http://127.0.0.1:{free_port()}"


def wait_until(condition, within_s=20.0, what="the condition"):
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if found := condition():
                return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {within_s} s")


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class System:
    """One `shadow-router serve` with everything a test may ask of it."""

    def __init__(
        self,
        directory,
        live_url,
        shadow_url,
        only=None,
        rules=None,
        prefix=(),
        **settings,
    ):
        self.directory = Path(directory)
        self.store_url = settings.get("STORE_URL")
        self._command = [*prefix, *COMMAND]
        if "RULES" not in settings:
            settings["RULES"] = self.directory.with_suffix(".rules.yml")
            settings["RULES"].write_text(rules or ONE_CLIENT)
        self.public, self.private = free_port(), free_port()
        values = {
            "PUBLIC_PORT": self.public,
            "PRIVATE_PORT": self.private,
            "LIVE_URL": live_url,
            "SHADOW_URL": shadow_url,
            "DATA_DIR": self.directory,
            "GRACE_S": 3,
            # Tests count what arrives at live; those of the lane turn it on.
            "NOISE_SHARE": 0,
            # Shedding and breaker have tests of their own: a busy machine makes live
            # slow, and a breaker spares the shadow what other tests are about.
            "SHED_RATIO": 0,
            "BREAKER_FAILURES": 0,
            # Raw requests of the tests have short names for it.
            "ALLOWED_HOSTS": "e, example, x",
            **settings,
        }
        names = {k: v for k, v in os.environ.items() if "SHADOW_ROUTER" not in k}
        self.env = names | {f"SHADOW_ROUTER_{k}": str(v) for k, v in values.items()}
        self._arguments = ["--only", only] if only else []
        self._only = only
        self.log_path = self.directory.parent / f"{self.directory.name}.log"
        self.process = None

    def __enter__(self):
        return self.start()

    def start(self, wait=True):
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, "serve", *self._arguments], env=self.env, stderr=log
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        if self._only == "router":
            return wait_until(self._accepts, 60, "the listener")
        path = "/livez" if self._only else "/readyz"
        return wait_until(lambda: self.private_get(path)[0] == 200, 60, "readiness")

    def _accepts(self):
        with socket.create_connection(self.public_at):
            return True

    def __exit__(self, *_):
        # Orderly stops have tests of their own; here the quickest way will do.
        for pid in filter(is_running, [self.process.pid, *self.children()]):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(5)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(20)

    @property
    def public_at(self):
        return ("127.0.0.1", self.public)

    @property
    def log(self):
        return self.log_path.read_text()

    def children(self):
        pid = self.process.pid
        try:
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(child) for child in text.split()]

    def child(self, role):
        """Return the pid of the router or the collector process."""

        def find():
            for pid in self.children():
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    if role.encode() in words:
                        return pid
            return None

        return wait_until(find, what=f"the {role} process")

    def client(self):
        return http.client.HTTPConnection(*self.public_at, timeout=10)

    def private_get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.private, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def control(self, name, document, **headers):
        """Ask for a change over HTTP; return status and document of the answer."""
        key = (self.directory / "control.key").read_text().split()[1]
        sent = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {key}",
        } | headers
        connection = http.client.HTTPConnection("127.0.0.1", self.private, timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", f"/controls/{name}", document, sent)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def metric(self, name):
        """Return the value of a metric without labels."""
        lines = self.private_get("/metrics")[1].splitlines()
        return next(float(x.split()[1]) for x in lines if x.startswith(f"{name} "))

    def report(self):
        status, text = self.private_get("/report.json")
        assert status == 200
        return json.loads(text)

    def run(self, *arguments, stdin=None, **environment):
        return subprocess.run(
            [*COMMAND, *arguments],
            stdin=stdin,
            env=self.env | environment,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def audit(self):
        """Return the audit as JSON; the command itself has tests of its own."""
        url = SecretStr(self.store_url) if self.store_url else None
        return audit.as_json(audit.audit(self.directory, store_url=url))

    def settled_fates(self, within_s=60.0):
        """Return the fates other than zero once nothing is in flight any more."""
        wait_until(lambda: self.report()["open"] == 0, within_s, "the last fate")
        found = self.audit()
        assert found["balances"], found["differences"]
        assert found["received"] == sum(found["fates"].values())
        return {fate: n for fate, n in found["fates"].items() if n}

    def database(self):
        path = self.directory / "comparisons.sqlite"
        return contextlib.closing(sqlite3.connect(path, isolation_level=None))


def post(client, number, request_id=None, padding=0):
    """Send one prediction request and return the status of its answer."""
    headers = {"content-type": "application/json"}
    if request_id:
        headers["x-request-id"] = request_id
    body = b'{"inputs": [%d]}' % number + b" " * padding
    client.request("POST", "/v1/predict", body, headers)
    answer = client.getresponse()
    answer.read()
    return answer.status


def post_many(system, count, prefix="id"):
    """Send many over one kept connection; every one must be answered 200."""
    with contextlib.closing(system.client()) as client:
        for number in range(count):
            assert post(client, number, f"{prefix}-{number}") == 200


def read_answer(stream):
    """Return head and body bytes of one answer from a socket's file, as they came."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = stream.readline()
        if not byte:
            return head, b""
        head += byte
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        body = b""
        while True:
            line = stream.readline()
            size = int(line, 16)
            body += stream.read(size)
            stream.readline()
            if not size:
                return head, body
    for line in lower.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head, stream.read(int(line.partition(b":")[2]))
    return head, b""


def raw_exchange(port, request, is_head=False):
    """Send bytes on a new socket and return head and body of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            if is_head:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = stream.readline()
                    if not line:
                        break
                    head += line
                return head, b""
            return read_answer(stream)
