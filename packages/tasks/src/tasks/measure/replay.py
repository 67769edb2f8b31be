"""
Replay recorded traffic against two versions, each in an environment of its own.

Without options: the pins of live and shadow, on the traffic that lies beside the API.
The exit code is the verdict's: 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 INVALID; 64 and above
is an error, and one line says which.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tasks.arguments import given
from tasks.exit_codes import FAULT, REFUSED, exit_code
from tasks.system.addresses import free_port
from tasks.system.environments import (
    ENVIRONMENTS,
    CannotStart,
    prepare_api,
    prepare_router,
    prepare_wheel,
)
from tasks.system.lifeline import child
from tasks.system.lineage import end_with_starters

RECORDED = Path("api/traffic.jsonl.gz")
INDEX = "packages/index/iris_model"
SHOWS = ("pass", "fail", "inconclusive", "invalid")
READY_S = 60
SEED = 1936
# Enough requests for the gates that count requests, and enough rows of each class for
# the limit of one flip in ten thousand.
REQUESTS = 12_000
ROWS = 50
# 1.2.1 is a refactor of 1.2.0, and two processes of one artefact are no less alike.
BEFORE, AFTER = (f"{INDEX}/iris_model-1.2.{n}-py3-none-any.whl" for n in (0, 1))
RULES = "profile: refactor\n"
# One line in so many is cut: twice the loss that a verdict allows.
DAMAGED = 50


def main(arguments: list[str]) -> int:
    """Parse the command line, prepare the environments, replay."""
    parser = argparse.ArgumentParser(prog="tox run -e replay --", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="recordings")
    for role in ("live", "shadow"):
        text = f"a wheel or the URL of a service; by default the pin of {role}.txt"
        parser.add_argument(f"--{role}", default=role, metavar="WHEEL|URL", help=text)
    parser.add_argument("--rules", type=Path, help="a rule file of the router")
    parser.add_argument("--report", type=Path, help="write the report as HTML, too")
    parser.add_argument(
        "--show", choices=SHOWS, help="live against a stand-in, one for each verdict"
    )
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        if options.show:
            return show(options.show, folder, running)
        live = running.enter_context(service(options.live, "live"))
        shadow = running.enter_context(service(options.shadow, "shadow"))
        extra = ["--rules", str(options.rules)] if options.rules else []
        extra += ["--report", str(options.report)] if options.report else []
        return replay(options.files or [RECORDED], live, shadow, *extra)


def show(verdict: str, folder: Path, running: contextlib.ExitStack) -> int:
    """Replay so that a verdict comes out: against a refactor of live, or its mutant."""
    live = running.enter_context(service(BEFORE, "live"))
    shadow = running.enter_context(service(AFTER, "shadow"))
    traffic, rules = RECORDED, folder / "rules.yml"
    rules.write_text(RULES)
    if verdict == "pass":
        traffic = folder / "generated.jsonl.gz"
        write_generated(traffic, live)
    elif verdict == "fail":
        shadow = running.enter_context(mutant(shadow))
    elif verdict == "invalid":
        traffic = folder / "damaged.jsonl.gz"
        write_damaged(traffic)
    return replay([traffic], live, shadow, "--rules", str(rules))


def replay(files: list[Path], live: str, shadow: str, *options: str) -> int:
    """Run the router's command; return its exit code."""
    command = [str(prepare_router() / "shadow-router"), "replay", *map(str, files)]
    command += ["--live", live, "--shadow", shadow, *options]
    with child(command) as client:
        code = client.wait()
    # One that died of a signal has found nothing.
    return code if code >= 0 else FAULT


@contextlib.contextmanager
def service(what: str, role: str) -> Iterator[str]:
    """Run a version of the API, given by pin or wheel, and yield its URL."""
    if re.match(r"https?://", what):
        yield what
        return
    commands = prepare(what)
    port = free_port()
    settings = {
        "IRIS_API_HOST": "127.0.0.1",
        "IRIS_API_PORT": str(port),
        "IRIS_API_RECORDS": str(ENVIRONMENTS / f"replay-{role}.records.jsonl"),
    }
    with process([str(commands / "iris-api")], settings, port) as url:
        yield url


@contextlib.contextmanager
def mutant(url: str) -> Iterator[str]:
    """Run a service that exchanges two classes of another, and yield its URL."""
    port = free_port()
    command = [sys.executable, "-m", "tasks.measure.mutant", url, str(port)]
    with process(command, {}, port) as its_url:
        yield its_url


@cache
def prepare(what: str) -> Path:
    """Prepare a version once, though two processes may run it."""
    return prepare_wheel(Path(what)) if what.endswith(".whl") else prepare_api(what)


@contextlib.contextmanager
def process(command: list[str], settings: dict[str, str], port: int) -> Iterator[str]:
    """Run a service while the context lasts; its output goes to a file."""
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as output:
        environment = {**os.environ, **settings}
        with child(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT
        ) as started:
            if not is_ready(url, started):
                output.seek(0)
                raise CannotStart(f"{command[0]} is not ready\n{output.read()}")
            yield url


def is_ready(url: str, started: subprocess.Popen[bytes]) -> bool:
    """Ask a service until it is ready; False when it ends or takes too long."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and started.poll() is None:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"{url}/readyz") as answer:
                return bool(answer.status == 200)
        time.sleep(0.1)
    return False


def write_generated(path: Path, live: str) -> None:
    """Write requests of random rows from the ranges that live was trained in."""
    with urllib.request.urlopen(f"{live}/v1/model") as answer:
        features = json.load(answer)["features"]
    generator = random.Random(SEED)

    def row() -> dict[str, float]:
        return {
            feature["name"]: round(generator.uniform(*bounds(feature)), 6)
            for feature in features
        }

    with gzip.open(path, "wt", compresslevel=1) as file:
        header = {"recording": 1, "by": "replay.py", "redacted": []}
        print(json.dumps({**header, "requests": REQUESTS}), file=file)
        for number in range(REQUESTS):
            body = json.dumps({"inputs": [row() for _ in range(ROWS)]})
            print(json.dumps(request(number, body)), file=file)


def bounds(feature: dict[str, Any]) -> tuple[float, float]:
    """Return the training range of a feature."""
    return feature["minimum"], feature["maximum"]


def request(number: int, body: str) -> dict[str, Any]:
    """Return a line of a recording that holds no answer of live's."""
    return {
        "id": f"generated-{number}",
        "at_ns": 0,
        "method": "POST",
        "target": "/v1/predict",
        "headers": [["content-type", "application/json"]],
        "body": body,
        "live": None,
    }


def write_damaged(path: Path) -> None:
    """Write the recorded traffic with some of its lines cut short."""
    with gzip.open(RECORDED, "rt") as whole, gzip.open(path, "wt") as damaged:
        for number, line in enumerate(whole):
            is_cut = number and number % DAMAGED == 0
            damaged.write(f"{line[: len(line) // 2]}\n" if is_cut else line)


if __name__ == "__main__":
    end_with_starters()
    codes: dict[type[Exception], int] = {CannotStart: REFUSED}
    sys.exit(exit_code("cannot start", lambda: main(given()), codes))
