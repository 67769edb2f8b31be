"""
Measure what counting costs POST /v1/predict, scraped every five seconds.

    python api/benchmarks/metrics.py

Needs Linux with two cores, wrk, and an environment with iris_api and a model. The API
with its counters and the API with counters that do nothing are loaded and scraped in
turn, round after round; the ratio is the median of those of the rounds.
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

from load import Server, load, running

from iris_api.predictor import load_predictor

CONNECTIONS = 16
SCRAPE_S = 5
WITHOUT = Path(__file__).with_name("no_metrics.py")


def main() -> None:
    """Load both in turn and print rates and ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder, "body.json")
        body.write_text(json.dumps({"inputs": [load_predictor().example]}))
        counted, uncounted = [], []
        for number in range(options.rounds):
            pair = [(counted, "-m", "iris_api"), (uncounted, str(WITHOUT))]
            # Each goes first as often as the other.
            for rates, *command in pair[:: -1 if number % 2 else 1]:
                rates.append(rate(body, command, options.seconds))
    ratios = [a / b for a, b in zip(counted, uncounted, strict=True)]
    print(f"counting, scraped  {statistics.median(counted):9,.0f} req/s")
    print(f"counting nothing   {statistics.median(uncounted):9,.0f} req/s")
    print(f"cost               {1 - statistics.median(ratios):9.1%}")
    print(f"of the rounds      {1 - max(ratios):.1%} to {1 - min(ratios):.1%}")


def rate(body: Path, command: list[str], seconds: float) -> float:
    """Return the requests a second of one server."""
    records = str(body.with_name("records.jsonl"))
    settings = (("IRIS_API_PORT", "{port}"), ("IRIS_API_RECORDS", records))
    server = Server(command[-1], [sys.executable, *command], settings=settings)
    with running(server, body.read_bytes()) as (pid, port), scraped(port):
        return load(pid, port, server.path, body, CONNECTIONS, seconds).rate


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
