"""
Measure the API's image against the same wheel as a plain process, on this machine.

    python docker/benchmark.py IMAGE

Needs Linux with two cores, wrk, a Docker engine, and an environment with iris_api and
the model of the image. Server and wrk have a core each; process and container are
loaded in turn, round after round, and each figure is the median of the rounds. wrk
asks the container at its own address, as another container would.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.measure.load import SERVER_CORE, Figures, Server, load, running
from tasks.system.engine_client import docker, inspect

PORT, PATH = 8001, "/v1/predict"
CONNECTIONS = 16
READY_S = 30
# As compose.yaml has it, but for the core.
OPTIONS = ["--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp", "--memory", "256m"]
OPTIONS += ["--security-opt", "no-new-privileges:true", "--pids-limit", "64"]
OPTIONS += ["--ulimit", "nofile=8192:8192", "--cpuset-cpus", str(SERVER_CORE)]
OPTIONS += ["--env", "IRIS_API_RECORDS=/data/records.jsonl", "--volume", "/data"]


def main() -> None:
    """Load both in turn and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("image")
    parser.add_argument("--seconds", type=float, default=4, help="of each load")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder, "body.json")
        body.write_bytes(example(options.image))
        starts, bare, contained = [], [], []
        for _ in range(options.rounds):
            bare.append(load_process(body, options.seconds))
            figures, start_s = load_container(options.image, body, options.seconds)
            contained.append(figures)
            starts.append(start_s)
    rates = [statistics.median(f.rate for f in found) for found in (bare, contained)]
    print(f"process      {rates[0]:9,.0f} req/s  {bare[-1].memory_mb:5.0f} MB")
    print(f"container    {rates[1]:9,.0f} req/s  {contained[-1].memory_mb:5.0f} MB")
    print(f"ratio        {rates[1] / rates[0]:9.2f}")
    print(f"cold start   {statistics.median(starts):9.2f} s to ready")
    print(f"image        {int(inspect(options.image, '{{.Size}}')) / 1e6:9.0f} MB")


def example(image: str) -> bytes:
    """Return the body that the image's own document shows."""
    with container(image) as (_, host):
        with urllib.request.urlopen(f"http://{host}:{PORT}/openapi.json") as answer:
            operation = json.load(answer)["paths"][PATH]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    return json.dumps(content["example"]).encode()


def load_process(body: Path, seconds: float) -> Figures:
    """Return the figures of `python -m iris_api`."""
    settings = (
        ("IRIS_API_PORT", "{port}"),
        ("IRIS_API_RECORDS", str(body.with_name("records.jsonl"))),
        ("ORT_DISABLE_TELEMETRY", "1"),
    )
    command = [sys.executable, "-m", "iris_api"]
    server = Server("process", command, settings=settings)
    with running(server, body.read_bytes()) as (pid, port):
        return load(pid, port, PATH, body, CONNECTIONS, seconds)


def load_container(image: str, body: Path, seconds: float) -> tuple[Figures, float]:
    """Return the figures of a container, and the seconds that it took to be ready."""
    began = time.monotonic()
    with container(image) as (pid, host):
        start_s = time.monotonic() - began
        return load(pid, PORT, PATH, body, CONNECTIONS, seconds, host), start_s


@contextmanager
def container(image: str) -> Iterator[tuple[int, str]]:
    """Give process id and address of a container that is ready; remove it then."""
    name = docker("run", "--detach", *OPTIONS, image)
    try:
        host = inspect(name, "{{.NetworkSettings.IPAddress}}")
        deadline = time.monotonic() + READY_S
        while not is_ready(host):
            if time.monotonic() > deadline:
                raise SystemExit(f"{image} is not ready after {READY_S} s")
            time.sleep(0.02)
        yield int(inspect(name, "{{.State.Pid}}")), host
    finally:
        docker("rm", "--force", "--volumes", name)


def is_ready(host: str) -> bool:
    """Return whether a container answers that it is ready."""
    try:
        with urllib.request.urlopen(f"http://{host}:{PORT}/readyz", timeout=5):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
