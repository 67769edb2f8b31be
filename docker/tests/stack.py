"""The system of compose.yaml, in a copy of its folder and with names of its own."""

import json
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tasks.system.addresses import free_port
from tasks.system.engine_client import docker, inspect

DOCKER_FOLDER = Path("docker")
COPIED = ("compose.yaml", "replace.py", "prometheus", "grafana")


class Stack:
    """One run of the compose file; `pins` are the variables of its `.env`."""

    def __init__(self, folder: Path, pins: dict[str, str]) -> None:
        self.folder = folder
        self.project = f"test{secrets.token_hex(4)}"
        self.public, self.private, prometheus = (free_port() for _ in range(3))
        self.prometheus = prometheus
        for name in COPIED:
            source = DOCKER_FOLDER / name
            copy = shutil.copytree if source.is_dir() else shutil.copyfile
            copy(source, folder / name)
        variables = {
            "COMPOSE_PROJECT_NAME": self.project,
            "PUBLIC_PORT": str(self.public),
            "PRIVATE_PORT": str(self.private),
            "PROMETHEUS_PORT": str(prometheus),
            **pins,
        }
        lines = "".join(f"{name}={value}\n" for name, value in variables.items())
        (folder / ".env").write_text(lines)

    def compose(self, *arguments: str) -> str:
        """Run docker-compose in the folder, as its README does."""
        return checked("docker-compose", *arguments, cwd=self.folder)

    def up(self, *arguments: str) -> None:
        """Start what is named, or everything; return once the router is ready."""
        self.compose("up", "--detach", *arguments)
        wait_until(lambda: status(self.url("/readyz")) == 200)
        wait_until(lambda: status(self.report("/readyz")) == 200)

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--timeout", "1")

    def url(self, path: str) -> str:
        """Return the public URL of a path."""
        return f"http://127.0.0.1:{self.public}{path}"

    def report(self, path: str) -> str:
        """Return the private URL of a path."""
        return f"http://127.0.0.1:{self.private}{path}"

    def container(self, service: str) -> str:
        """Return the one container of a service."""
        (found,) = self.compose("ps", "--quiet", service).split()
        return found

    def python(self, service: str, code: str) -> str:
        """Run Python inside a service and return what it prints."""
        return docker("exec", self.container(service), "python3", "-c", code)

    def replace(self, service: str, image: str) -> subprocess.CompletedProcess[str]:
        """Run the documented command that replaces a container."""
        command = [sys.executable, str(self.folder / "replace.py"), service, image]
        return subprocess.run(command, capture_output=True, text=True)

    def audit(self) -> dict[str, object]:
        """Return the books once nothing is open; fails unless they balance."""
        wait_until(lambda: get_json(self.report("/report.json"))["open"] == 0)
        command = ["python3", "-m", "shadow_router", "audit", "--json"]
        found = docker("exec", self.container("collector"), *command)
        books: dict[str, object] = json.loads(found)
        return books

    def state(self, service: str) -> dict[str, object]:
        """Return what the engine says of a service's container."""
        found = inspect(self.container(service), "{{json .State}}")
        state: dict[str, object] = json.loads(found)
        return state

    def is_healthy(self, service: str) -> bool:
        """Return whether the engine calls a service healthy."""
        health = self.state(service)["Health"]
        return isinstance(health, dict) and health["Status"] == "healthy"


def checked(*command: str, cwd: Path | None = None) -> str:
    """Run a command and return what it prints; fails with its errors if it does."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def status(url: str) -> int:
    """Return the status of an answer, 0 when there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def get_json(url: str) -> dict[str, object]:
    """Return a document."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        document: dict[str, object] = json.loads(answer.read())
        return document


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Return once a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
