"""
Measure POST /v1/predict against the server, the framework and other model servers.

    python api/benchmarks/predict.py
    python api/benchmarks/predict.py --peers

Needs Linux with two cores, wrk, and an environment with iris_api and a model. The
server runs on one core, wrk on the other. All servers are loaded in turn, round after
round, so that a machine whose speed drifts changes the figures but not the ratios;
each figure is the median of the rounds. Our own records every prediction in a file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from peers import PEERS, prepare_peer

from iris_api.predict.predictor import load_predictor
from tasks.measure.load import Figures, Server, load, running

HERE = Path(__file__).parent
COLUMNS = f"{'req/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'CPU s/1000':>11} {'MB':>5}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 10, 100, 1000])
    connections = [1, 4, 16, 64, 256]
    parser.add_argument("--connections", type=int, nargs="*", default=connections)
    parser.add_argument(
        "--peers",
        action="store_true",
        help="also MLServer, MLflow and BentoML, in environments made for it",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.seconds, options.rounds)
        bench.compare(bench.limits(), "one row, 16 connections")
        if options.peers:
            bench.compare(bench.peers(), "one row, 16 connections, other servers")
        bench.vary(options.rows, [1], "rows a request, 1 connection")
        bench.vary([1], options.connections, "connections, one row")


class Bench:
    """
    Requests in files, servers in turn, figures in lines.

    Parameters
    ----------
    folder : Path
        For bodies and records; thrown away afterwards.
    seconds, rounds : float, int
        How long each load lasts, and how often it is repeated.
    """

    def __init__(self, folder: Path, seconds: float, rounds: int) -> None:
        self._folder = folder
        self._seconds = seconds
        self._rounds = rounds
        self._predictor = load_predictor()
        self._body(1)
        self.ours = self._ours()

    def limits(self) -> list[Server]:
        """Return the server's own limit, the framework's, and ours."""
        answer = self._folder / "answer.json"
        with running(self.ours, self._body(1).read_bytes()) as (_, port):
            answer.write_bytes(_ask(port, self._body(1).read_bytes()))
        constant = [sys.executable, str(HERE / "constants.py")]
        documents = ["{port}", str(self._body(1)), str(answer)]
        return [
            Server("raw ASGI, constant", [*constant, "raw", *documents]),
            Server("FastAPI, constant", [*constant, "fastapi", *documents]),
            self.ours,
        ]

    def peers(self) -> list[Server]:
        """Return other model servers, installed now if they are not yet."""
        row = list(self._predictor.example.values())
        return [self.ours, *(prepare_peer(peer, row) for peer in PEERS)]

    def compare(self, servers: Sequence[Server], title: str) -> None:
        """Print figures of several servers, and each rate over ours."""
        found: dict[str, list[Figures]] = {server.name: [] for server in servers}
        for _ in range(self._rounds):
            for server in servers:
                body = server.body or self._body(1)
                found[server.name].append(self._load(server, body, 16))
        ours = median(found[self.ours.name])
        print(f"\n{title}\n{'':24}{COLUMNS} {'ours / it':>10}")
        for name, figures in found.items():
            middle = median(figures)
            print(f"{name:24}{line(middle)} {ours.rate / middle.rate:10.2f}")

    def vary(self, rows: Iterable[int], connections: Iterable[int], title: str) -> None:
        """Print our figures for each number of rows and connections."""
        print(f"\n{title}\n{'':24}{COLUMNS}")
        for count in rows:
            for clients in connections:
                body = self._body(count)
                figures = [
                    self._load(self.ours, body, clients) for _ in range(self._rounds)
                ]
                name = f"{count:,} rows, {clients} conn."
                print(f"{name:24}{line(median(figures))}", flush=True)

    def _load(self, server: Server, body: Path, connections: int) -> Figures:
        with running(server, body.read_bytes()) as (pid, port):
            return load(pid, port, server.path, body, connections, self._seconds)

    def _ours(self) -> Server:
        records = self._folder / "records.jsonl"
        settings = (("IRIS_API_PORT", "{port}"), ("IRIS_API_RECORDS", str(records)))
        command = [sys.executable, "-m", "iris_api"]
        return Server("iris_api, recording", command, settings=settings)

    def _body(self, count: int) -> Path:
        path = self._folder / f"{count}.json"
        rows = [self._predictor.example] * count
        path.write_text(json.dumps({"inputs": rows}))
        return path


def _ask(port: int, body: bytes) -> bytes:
    from http.client import HTTPConnection

    connection = HTTPConnection("127.0.0.1", port)
    connection.request(
        "POST", "/v1/predict", body, {"Content-Type": "application/json"}
    )
    return connection.getresponse().read()


def median(figures: Sequence[Figures]) -> Figures:
    """Return the median of each figure on its own."""
    names = [field.name for field in fields(Figures)]
    return Figures(
        **{n: statistics.median(getattr(one, n) for one in figures) for n in names}
    )


def line(figures: Figures) -> str:
    """Return figures in the order of the columns."""
    return (
        f"{figures.rate:9,.0f} {figures.p50_ms:8.2f} {figures.p99_ms:8.2f} "
        f"{figures.cpu_s_per_1000:11.3f} {figures.memory_mb:5.0f}"
    )


if __name__ == "__main__":
    main()
