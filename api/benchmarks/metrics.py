"""
Measure what counting costs POST /v1/predict, scraped every five seconds.

    python api/benchmarks/metrics.py

Needs Linux with two cores, wrk, and an environment with iris_api and a model. The API
with its counters and the API with counters that do nothing are loaded and scraped in
turn, round after round; each cost is the median of those of the rounds. Processor time
a request says the same as requests a second, and is the steadier of the two where
something else runs beside.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iris_api.predict.predictor import load_predictor
from tasks.measure.load import Figures, Server, load, running

CONNECTIONS = 16
SCRAPE_S = 5
WITHOUT = Path(__file__).with_name("no_metrics.py")


def main() -> None:
    """Load both in turn and print what counting costs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder, "body.json")
        body.write_text(json.dumps({"inputs": [load_predictor().example]}))
        pairs = []
        for number in range(options.rounds):
            commands = [["-m", "iris_api"], [str(WITHOUT)]]
            # Each goes first as often as the other.
            order = slice(None, None, -1 if number % 2 else 1)
            found = [measure(body, one, options.seconds) for one in commands[order]]
            pairs.append(found[order])
    print_costs(pairs)


def print_costs(pairs: list[list[Figures]]) -> None:
    """Print medians of both, and what the first costs more than the second."""
    for name, found in zip(("counting", "counting nothing"), zip(*pairs, strict=True)):
        rate = statistics.median(one.rate for one in found)
        used = statistics.median(one.cpu_s_per_1000 for one in found)
        print(f"{name:18}{rate:9,.0f} req/s {used:8.3f} CPU s/1000")
    slower = [1 - a.rate / b.rate for a, b in pairs]
    more = [a.cpu_s_per_1000 / b.cpu_s_per_1000 - 1 for a, b in pairs]
    for name, costs in (("requests a second", slower), ("processor time", more)):
        ends = f"{min(costs):.1%} to {max(costs):.1%} of the rounds"
        print(f"cost in {name:18}{statistics.median(costs):7.1%}  ({ends})")


def measure(body: Path, command: list[str], seconds: float) -> Figures:
    """Return the figures of one server."""
    records = str(body.with_name("records.jsonl"))
    settings = (("IRIS_API_PORT", "{port}"), ("IRIS_API_RECORDS", records))
    server = Server(command[-1], [sys.executable, *command], settings=settings)
    with running(server, body.read_bytes()) as (pid, port), scraped(port):
        return load(pid, port, server.path, body, CONNECTIONS, seconds)


@contextmanager
def scraped(port: int) -> Iterator[None]:
    """Read the metrics as Prometheus does, until the block ends."""
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(SCRAPE_S):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    main()
