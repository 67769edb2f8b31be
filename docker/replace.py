"""
Replace an API's container by one of another image while clients are being served.

usage: python docker/replace.py api-live|api-shadow IMAGE

Old and new run side by side until the new one is healthy; then the old one answers
what it has accepted, and goes. If the new one does not become healthy, it goes. IMAGE
is best a digest; the command that takes it back is printed.
"""

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PINS = FOLDER / ".env"
VARIABLES = {"api-live": "API_LIVE_IMAGE", "api-shadow": "API_SHADOW_IMAGE"}
HEALTHY_S = 60
# The API's own grace time is 10 s.
STOP_S = 15


class NotReplaced(Exception):
    """Raised when everything is as it was; says why."""


def main(service: str, image: str) -> None:
    """Replace the container of a service, once it is this one's turn."""
    if service not in VARIABLES:
        raise NotReplaced(f"{service} is not one of {', '.join(VARIABLES)}")
    with turn():
        replace(service, image)


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Let one replacement go after another: they write the same file of pins."""
    descriptor = os.open(FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace(service: str, image: str) -> None:
    """Start the new container, pin it, wait for it, stop the old one."""
    run("docker", "image", "inspect", image)
    running = containers(service)
    if len(running) != 1:
        raise NotReplaced(f"{service} has {len(running)} containers instead of one")
    (old,) = running
    before = PINS.read_text() if PINS.exists() else ""
    previous = inspect(old)["Image"]
    write_pins(with_pin(before, VARIABLES[service], image))
    try:
        start_beside(service, old)
    except NotReplaced:
        write_pins(before)
        raise
    run("docker", "stop", "--time", str(STOP_S), old)
    run("docker", "rm", old)
    print(f"{service} runs {image}")
    print(f"to take it back: python {sys.argv[0]} {service} {previous}")


def start_beside(service: str, old: str) -> None:
    """Start a second container of the image that is pinned now, until healthy."""
    beside = ["--detach", "--no-deps", "--no-recreate", "--scale", f"{service}=2"]
    try:
        compose("up", *beside, service)
        (new,) = set(containers(service)) - {old}
        wait_until_healthy(new)
    except (NotReplaced, ValueError):
        for container in set(containers(service)) - {old}:
            run("docker", "rm", "--force", container)
        raise


def wait_until_healthy(container: str) -> None:
    """Return when the engine calls a container healthy."""
    deadline = time.monotonic() + HEALTHY_S
    while time.monotonic() < deadline:
        state = inspect(container)["State"]
        if state["Health"]["Status"] == "healthy":
            return
        if not state["Running"] or state["Restarting"]:
            break
        time.sleep(0.2)
    said = run("docker", "logs", "--tail", "1", container, stderr=subprocess.STDOUT)
    raise NotReplaced(f"the new container does not become healthy: {said}")


def write_pins(text: str) -> None:
    """Write `.env` whole: Compose may read it at any time."""
    draft = PINS.with_name(f".env.{os.getpid()}.draft")
    draft.write_text(text)
    os.replace(draft, PINS)


def with_pin(text: str, name: str, value: str) -> str:
    """Return the text of `.env` with one variable set."""
    kept = re.sub(rf"^{name}=.*\n?", "", text, flags=re.M)
    return f"{kept}{name}={value}\n"


def containers(service: str) -> list[str]:
    """Return the containers of a service, running or not."""
    return compose("ps", "--quiet", service).split()


def inspect(container: str) -> Any:  # Any: what the engine says is JSON
    """Return what the engine knows of a container."""
    return json.loads(run("docker", "inspect", container))[0]


def compose(*arguments: str) -> str:
    """Run Compose: the plugin of the client, or the command of its own."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
    command = ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]
    where = ["--project-directory", str(FOLDER), "--file", str(FOLDER / "compose.yaml")]
    return run(*command, *where, *arguments)


def run(*command: str, stderr: int = subprocess.PIPE) -> str:
    """Run a command and return its output; NotReplaced with its last line if not."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    if done.returncode:
        *_, last = ["", *(done.stderr or done.stdout).strip().splitlines()]
        raise NotReplaced(f"{' '.join(command[:2])}: {last}")
    return done.stdout.strip()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    try:
        main(*sys.argv[1:])
    except NotReplaced as reason:
        raise SystemExit(f"not replaced: {reason}") from None
