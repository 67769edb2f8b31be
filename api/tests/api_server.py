"""Start the real command on a free port and speak HTTP to it."""

import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROW = {
    "sepal_length_cm": 5.1,
    "sepal_width_cm": 3.5,
    "petal_length_cm": 1.4,
    "petal_width_cm": 0.2,
}
JSON = {"Content-Type": "application/json"}
COMMAND = shutil.which("iris-api", path=sysconfig.get_path("scripts"))


@dataclass
class Reply:
    """An answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        """The body as JSON."""
        return json.loads(self.body)


class Kept:
    """One connection, kept alive from request to request until the block ends."""

    def __init__(self, port):
        self._client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        # Once it is open, a connection that the server closes is an error.
        self._client.auto_open = False
        self._is_open = False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._client.close()

    def reopen(self):
        """Begin a new connection with the next request."""
        self._client.close()
        self._is_open = False

    def predict(self, body):
        """Post bytes; raise OSError or HTTPException if the connection is lost."""
        if not self._is_open:
            # Not before: one that stays silent is closed, and inventing may take long.
            self._client.connect()
            self._is_open = True
        self._client.request("POST", "/v1/predict", body, JSON)
        response = self._client.getresponse()
        reply = Reply(response.status, response.headers, response.read())
        if reply.headers["Connection"] == "close":  # announced, so not lost
            self.reopen()
        return reply


@dataclass
class Server:
    """A running server process."""

    port: int
    process: subprocess.Popen
    records: str
    talk_file: object

    def send(self, method, path, body=None, headers=None):
        """Send one request over a new connection."""
        return send(self.port, method, path, body, headers)

    def predict(self, body, headers=JSON):
        """Post a body, bytes as they are and anything else as JSON."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return self.send("POST", "/v1/predict", body, headers)

    def read_records(self):
        """Return the records written so far."""
        return [
            json.loads(line) for line in Path(self.records).read_bytes().splitlines()
        ]

    def count_records(self):
        """Return how many they are; of a shared server they are many."""
        return Path(self.records).read_bytes().count(b"\n")

    def stop(self, signal_number=15):
        """Send a signal and return the exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(20)

    def talk(self):
        """Return what the server said on standard error."""
        return Path(self.talk_file.name).read_text()


def send(port, method, path, body=None, headers=None):
    """Send one request over a new connection and return the reply."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def send_bytes(port, content):
    """Send bytes as they are; return all that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(content)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@dataclass
class Growth:
    """How much more memory a process held at most than at first."""

    bytes: int = 0


@contextmanager
def memory_growth(pid):
    """Measure a process until the block ends."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak so far
    growth, before = Growth(), _read_memory(pid, "VmRSS")
    yield growth
    growth.bytes = _read_memory(pid, "VmHWM") - before


def _read_memory(pid, name):
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024


def row_with(field, value):
    """Return a body with one row whose field holds the given JSON text."""
    fields = {name: json.dumps(number) for name, number in ROW.items()}
    fields[field] = value
    inside = ", ".join(f'"{name}": {text}' for name, text in fields.items())
    return f'{{"inputs": [{{{inside}}}]}}'.encode("utf-8", "surrogatepass")


def free_port():
    """Return a port that nothing listens on."""
    while True:
        # Below the ports that the kernel gives to clients: none takes it meanwhile.
        port = random.SystemRandom().randrange(10_000, 32_000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def environment(**settings):
    """Return our environment with exactly the given settings."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("IRIS_API_")}
    return {**ours, **settings}


def run_command(**settings):
    """Run the command until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "iris_api"],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
    )


def check_problem(reply, status):
    """Assert what all problems have in common, and return the document."""
    assert reply.status == status, reply.body
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert len(reply.body) <= 4096
    assert reply.headers["X-Request-ID"] == reply.json["request_id"]
    assert reply.headers["Server-Timing"] == "predict;dur=0"
    assert reply.json["status"] == status
    assert reply.json["type"] == "about:blank"
    assert len(reply.json.get("errors", [])) <= 20
    return reply.json


@contextmanager
def start_server(stdout=None, command=(COMMAND,), **settings):
    """Run the console script until the block ends; ready when this returns."""
    port = int(settings.setdefault("IRIS_API_PORT", str(free_port())))
    # Raw requests of the tests have a short name for it.
    settings.setdefault("IRIS_API_ALLOWED_HOSTS", "x")
    talk_file = tempfile.NamedTemporaryFile("wb", suffix=".log")
    process = subprocess.Popen(
        command, env=environment(**settings), stdout=stdout, stderr=talk_file
    )
    server = Server(port, process, settings.get("IRIS_API_RECORDS"), talk_file)
    try:
        wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        talk_file.close()


def wait_until_ready(server):
    """Return when the server answers; fail when its process ends first."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.talk()
        try:
            assert server.send("GET", "/readyz").status == 200
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("not ready after 60 s")
