"""
Run the system on this machine: one environment a pin, one process a service.

``up`` runs router, live and shadow, and Prometheus where it is installed; ``serve``
runs the live API alone. The process manager is honcho: it prefixes output, and stops
everything when one part stops.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import honcho.manager
import honcho.printer
import monitoring

ENVIRONMENTS = Path(".tox/services")
REQUIREMENTS = Path("api/requirements")
PROMOTIONS = "promotions.jsonl"
# Every process finishes what it has accepted; honcho's own 5 s would cut that off.
STOP_S = 25


class CannotStart(Exception):
    """Raised when the services cannot be started; says why and what to do."""


@dataclass(frozen=True)
class Service:
    """A process: its name, its command line, and what it adds to the environment."""

    name: str
    command: list[str]
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Address:
    """Where a process listens, and the setting that moves it."""

    url: str
    setting: str


class Printer(honcho.printer.Printer):
    """honcho's own, but that it lets processes be stopped when nobody reads on."""

    def write(self, message: Any) -> None:  # Any: honcho is untyped
        with contextlib.suppress(BrokenPipeError):
            super().write(message)


def main(arguments: list[str]) -> int:
    """Parse the command line, prepare the environments, run until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="tox run -e", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="the live API alone")
    up = commands.add_parser("up", help="router, live and shadow")
    up.add_argument(
        "--traffic", type=int, default=0, metavar="N", help="send N rows when ready"
    )
    options = parser.parse_args(arguments)
    if options.command == "serve":
        return serve()
    return start(options.traffic)


def serve() -> int:
    """Run the live API alone, where its settings say."""
    host = os.environ.get("IRIS_API_HOST", "127.0.0.1")
    port = os.environ.get("IRIS_API_PORT", "8001")
    check_free(Address(f"http://{host}:{port}", "IRIS_API_PORT"))
    api = prepare_api("live")
    print(f"live API: http://{host}:{port}  (Ctrl-C stops it)", flush=True)
    return run([Service("live", [str(api / "iris-api")])], [])


def start(traffic: int) -> int:
    """Run router, live and shadow; a helper waits, tells the URLs and sends rows."""
    public = setting("SHADOW_ROUTER_PUBLIC_PORT", "8000")
    private = setting("SHADOW_ROUTER_PRIVATE_PORT", "8010")
    live = setting("SHADOW_ROUTER_LIVE_URL", "http://127.0.0.1:8001")
    shadow = setting("SHADOW_ROUTER_SHADOW_URL", "http://127.0.0.1:8002")
    for address in (public, private, live, shadow):
        check_free(address)
    services = [
        api_service("live", live),
        api_service("shadow", shadow),
        Service("router", [str(prepare_router() / "shadow-router"), "serve"]),
    ]
    set_old_books_aside()
    table = next(
        ENVIRONMENTS.glob("live/lib/*/site-packages/iris_model/datasets/*.csv")
    )
    talk = [sys.executable, str(Path(__file__).with_name("traffic.py"))]
    talk += [public.url, private.url, str(table), str(traffic)]
    targets = {"api-live:8001": live, "api-shadow:8001": shadow}
    if watch := watching({**targets, "collector:8010": private}):
        service, url = watch
        services.append(service)
        talk.append(url)
    return run(services, talk)


def watching(targets: dict[str, Address]) -> tuple[Service, str] | None:
    """Describe Prometheus and say where it will be; None where it cannot run."""
    program = monitoring.find_prometheus()
    if program is None:
        return None
    address = setting("PROMETHEUS_PORT", "9090")
    try:
        check_free(address)
    except CannotStart as reason:
        # Everything else works without; Debian's package starts one of its own.
        print(f"no Prometheus: {reason}", file=sys.stderr, flush=True)
        return None
    port = urlsplit(address.url).port or 80
    # One folder a port: it is locked by whoever writes to it.
    folder = ENVIRONMENTS / f"prometheus-{port}"
    here = {name: urlsplit(target.url).netloc for name, target in targets.items()}
    command = monitoring.prometheus_command(program, folder, port, here)
    return Service("prometheus", command), address.url


def set_old_books_aside() -> None:
    """Give each pair of pins books of its own: a run compares two versions."""
    directory = Path(os.environ.get("SHADOW_ROUTER_DATA_DIR", ".shadow_router"))
    directory.mkdir(parents=True, exist_ok=True)
    note = directory / "pins.txt"
    pins = "".join(
        (REQUIREMENTS / f"{role}.txt").read_text() for role in ("live", "shadow")
    )
    if note.exists() and note.read_text() != pins:
        number = 1
        while (aside := directory.with_name(f"{directory.name}-{number}")).exists():
            number += 1
        directory.rename(aside)
        print(f"the pins have changed: the books so far are in {aside}", flush=True)
        directory.mkdir()
        # Who changed which pin, and why, is a story of all pairs.
        if (aside / PROMOTIONS).exists():
            (aside / PROMOTIONS).rename(directory / PROMOTIONS)
    note.write_text(pins)


def setting(name: str, default: str) -> Address:
    """Return where a setting of the router, a port or a URL, points."""
    value = os.environ.get(name, default)
    return Address(value if "/" in value else f"http://127.0.0.1:{value}", name)


def api_service(role: str, address: Address) -> Service:
    """Prepare one API and describe its process; its records go to a file."""
    where = urlsplit(address.url)
    settings = {
        "IRIS_API_HOST": where.hostname or "",
        "IRIS_API_PORT": str(where.port),
        "IRIS_API_RECORDS": str(ENVIRONMENTS / f"{role}.records.jsonl"),
    }
    return Service(role, [str(prepare_api(role) / "iris-api")], settings)


def prepare_api(role: str) -> Path:
    """
    Install the API with the model a role pins; return the folder of its commands.

    Parameters
    ----------
    role : str
        ``live`` or ``shadow``: the requirements file to install.

    Raises
    ------
    CannotStart
        If something cannot be installed.
    """
    python = make_environment(role)
    locked = REQUIREMENTS / f"{role}.txt"
    pinned = next(line for line in locked.read_text().splitlines() if "==" in line)
    print(f"preparing {role}: {pinned.split()[0]}", file=sys.stderr, flush=True)
    install(python, "--require-hashes", "-r", str(locked))
    install(python, "--no-deps", "--reinstall-package", "iris_api", "./api")
    if any(name.startswith("OTEL_") for name in os.environ):
        install(python, "./api[otel]")
    return python.parent


def prepare_router(name: str = "router") -> Path:
    """Install the router into an environment; return the folder of its commands."""
    print("preparing router", file=sys.stderr, flush=True)
    python = make_environment(name)
    source = "./packages/shadow_router"
    if os.environ.get("SHADOW_ROUTER_STORE_URL"):
        source += "[postgresql]"
    install(python, "--reinstall-package", "shadow_router", source)
    return python.parent


def make_environment(name: str) -> Path:
    """Make a virtual environment unless it is there; return its interpreter."""
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    if not python.exists():
        uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    return python


def install(python: Path, *what: str) -> None:
    """Install into an environment; what is there already costs nothing."""
    uv("pip", "install", "--quiet", "--python", str(python), *what)


def uv(*arguments: str) -> None:
    """Run uv; its own message tells what is wrong."""
    if subprocess.run(["uv", *arguments]).returncode:
        raise CannotStart(f"uv {' '.join(arguments)} failed: see above")


def check_free(address: Address) -> None:
    """Raise CannotStart if something listens at an address already."""
    where = urlsplit(address.url)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((where.hostname, where.port or 80))
        except OSError as error:
            reason = f"{where.netloc} cannot be used: {error.strerror}"
            raise CannotStart(f"{reason} (stop it, or set {address.setting})") from None


def run(services: list[Service], talk: list[str]) -> int:
    """
    Run processes until one stops or Ctrl-C; return the exit code.

    Parameters
    ----------
    services : list of Service
        Stopped together, with SIGTERM and time to finish.
    talk : list of str
        A command that runs beside them and may end; none when empty.
    """
    honcho.manager.KILL_WAIT = STOP_S
    manager = honcho.manager.Manager(Printer(sys.stdout))
    for service in services:
        environment = {**os.environ, **service.settings, "PYTHONUNBUFFERED": "1"}
        command = "exec " + shlex.join(service.command)
        manager.add_process(service.name, command, env=environment)
    talker = subprocess.Popen(talk) if talk else None
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        manager.loop()
    finally:
        if talker is not None:
            talker.terminate()
            talker.wait()
    interrupted = manager.returncode in (130, 143)
    return 0 if interrupted else manager.returncode or 1


def end_with_parent() -> None:
    """Stop as if asked to when tox is gone: it does not pass SIGTERM on."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except CannotStart as reason:
        raise SystemExit(f"cannot start: {reason}") from None
    except KeyboardInterrupt:
        raise SystemExit(0) from None
