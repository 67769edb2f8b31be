"""
Run the system on this machine: one environment a pin, one process a service.

``up`` runs router, live and shadow, and Prometheus where it is installed; ``serve``
runs the live API alone. All stop when one does, and when what started them does.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tasks.arguments import given
from tasks.exit_codes import REFUSED, exit_code
from tasks.system import monitoring
from tasks.system.addresses import Address, hosts_of_apis, listener, read, upstream
from tasks.system.environments import (
    ENVIRONMENTS,
    REQUIREMENTS,
    CannotStart,
    prepare_api,
    prepare_router,
)
from tasks.system.job import Job, Service
from tasks.system.lineage import end_with_starters

PROMOTIONS = "promotions.jsonl"
RULES = Path(__file__).with_name("demonstration.yml")


def main(arguments: list[str]) -> int:
    """Parse the command line, prepare the environments, run until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="tox run -e", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    alone = commands.add_parser("serve", help="the live API alone")
    alone.add_argument(
        "--records", metavar="FILE", help="where records go; - prints them"
    )
    up = commands.add_parser("up", help="router, live and shadow")
    up.add_argument(
        "--traffic", type=int, default=0, metavar="N", help="send N rows when ready"
    )
    up.add_argument(
        "--seed", type=int, help="of the rows to send; drawn anew when left out"
    )
    up.add_argument(
        "--fresh", action="store_true", help="set the books aside, begin new ones"
    )
    options = parser.parse_args(arguments)
    if options.command == "serve":
        return serve(options.records)
    seed = random.randrange(2**31) if options.seed is None else options.seed
    return start(options.traffic, seed, options.fresh)


def serve(records: str | None) -> int:
    """Run the live API alone, where its settings say."""
    address = listener("IRIS_API_PORT", "8001", "IRIS_API_HOST")
    check_free(address)
    api = prepare_api("live")
    given = read("IRIS_API_RECORDS", "")
    os.environ.pop("IRIS_API_RECORDS", None)
    where = records or given or str(ENVIRONMENTS / "live.records.jsonl")
    settings = {} if where == "-" else {"IRIS_API_RECORDS": where}
    if not (records or given):
        print(f"records: {where}  (-- --records - prints them)", flush=True)
    print(f"live API: {address.url}/  (Ctrl-C stops it)", flush=True)
    return Job([Service("live", [str(api / "iris-api")], settings)], []).run()


def start(traffic: int, seed: int, is_fresh: bool) -> int:
    """Run router, live and shadow; a helper waits, tells the URLs and sends rows."""
    router = "SHADOW_ROUTER_"
    public = listener(f"{router}PUBLIC_PORT", "8000", f"{router}PUBLIC_HOST")
    private = listener(f"{router}PRIVATE_PORT", "8010", f"{router}PRIVATE_HOST")
    live = upstream(f"{router}LIVE_URL", "http://127.0.0.1:8001")
    shadow = upstream(f"{router}SHADOW_URL", "http://127.0.0.1:8002")
    for address in (public, private, live, shadow):
        check_free(address)
    services = [
        api_service("live", live),
        api_service("shadow", shadow),
        router_service(),
    ]
    set_old_books_aside(is_fresh)
    table = next(
        ENVIRONMENTS.glob("live/lib/*/site-packages/iris_model/datasets/*.csv")
    )
    talk = [sys.executable, "-m", "tasks.system.traffic"]
    talk += [public.url, private.url, str(table)]
    talk += ["--count", str(traffic), "--seed", str(seed)]
    targets = {"api-live:8001": live, "api-shadow:8001": shadow}
    if watch := watching({**targets, "collector:8010": private}):
        service, url = watch
        services.append(service)
        talk += ["--prometheus", url]
    return Job(services, talk).run()


def watching(targets: dict[str, Address]) -> tuple[Service, str] | None:
    """Describe Prometheus and say where it will be; None where it cannot run."""
    program = monitoring.find_prometheus()
    if program is None:
        return None
    address = listener("PROMETHEUS_PORT", "9090")
    try:
        check_free(address)
    except CannotStart as reason:
        # Everything else works without; Debian's package starts one of its own.
        print(f"no Prometheus: {reason}", flush=True)
        return None
    port = urlsplit(address.url).port or 80
    # One folder a port: it is locked by whoever writes to it.
    folder = ENVIRONMENTS / f"prometheus-{port}"
    here = {name: urlsplit(target.url).netloc for name, target in targets.items()}
    command = monitoring.prometheus_command(program, folder, port, here)
    return Service("prometheus", command), address.url


def set_old_books_aside(is_fresh: bool = False) -> None:
    """Give each pair of pins books of its own, and a fresh run, whatever the pins."""
    directory = Path(read("SHADOW_ROUTER_DATA_DIR", ".shadow_router"))
    # What was asked and answered is for its owner alone.
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = directory / "pins.txt"
    pins = "".join(
        (REQUIREMENTS / f"{role}.txt").read_text() for role in ("live", "shadow")
    )
    has_other_pins = note.exists() and note.read_text() != pins
    if has_other_pins or is_fresh and any(directory.iterdir()):
        number = 1
        while (aside := directory.with_name(f"{directory.name}-{number}")).exists():
            number += 1
        directory.rename(aside)
        why = "the pins have changed" if has_other_pins else "a fresh run"
        print(f"{why}: the books so far are in {aside}", flush=True)
        directory.mkdir(mode=0o700)
        # Who changed which pin, and why, is a story of all pairs.
        if (aside / PROMOTIONS).exists():
            (aside / PROMOTIONS).rename(directory / PROMOTIONS)
    note.write_text(pins)


def api_service(role: str, address: Address) -> Service:
    """Prepare one API and describe its process; its records go to a file."""
    where = urlsplit(address.url)
    settings = {
        "IRIS_API_HOST": where.hostname or "",
        "IRIS_API_PORT": str(where.port or 80),
        "IRIS_API_ALLOWED_HOSTS": hosts_of_apis(),
        "IRIS_API_RECORDS": str(ENVIRONMENTS / f"{role}.records.jsonl"),
    }
    return Service(role, [str(prepare_api(role) / "iris-api")], settings)


def router_service() -> Service:
    """Prepare the router and describe its process; its rules are ours unless set."""
    settings = {"SHADOW_ROUTER_RULES": read("SHADOW_ROUTER_RULES", str(RULES))}
    command = [str(prepare_router() / "shadow-router"), "serve"]
    return Service("router", command, settings)


def family_of(host: str) -> socket.AddressFamily:
    """Return the family of the addresses that a host is one of."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def check_free(address: Address) -> None:
    """Raise CannotStart if something listens at an address already; says what does."""
    where = urlsplit(address.url)
    host, port = where.hostname or "", where.port or 80
    with socket.socket(family_of(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = f"{where.netloc} cannot be used: {error.strerror}; choose another"
            if error.errno == errno.EADDRINUSE:
                from shadow_router.http.holder import holder_of

                reason = f"{where.netloc} is in use by {holder_of(host, port)}"
            raise CannotStart(f"{reason}, or set {address.setting}") from None


if __name__ == "__main__":
    end_with_starters()
    codes: dict[type[Exception], int] = {CannotStart: REFUSED}
    sys.exit(exit_code("cannot start", lambda: main(given()), codes))
