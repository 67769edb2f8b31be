"""
Measure what the router costs clients: beside a direct call, nginx, and its mirror.

Live and shadow are the API with the two pinned models. Every way to live is measured in
turn, round after round, so that a machine whose speed drifts changes the figures but
not their order; each figure is the median of the rounds. `paced` is one client that
sends at a steady pace: what a request feels. `full` are 16 connections without a pause:
what fits through; `stored/s` counts requests whose comparison is in the store, up to
the moment when the last one is. Every request holds another row.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from tasks.arguments import given
from tasks.exit_codes import REFUSED, exit_code
from tasks.measure.proxies import PROXIES, Router, Started, Upstreams, hung_server
from tasks.measure.replay import service
from tasks.measure.router_load import Load
from tasks.system.environments import CannotStart
from tasks.system.lineage import end_with_starters

#: Many enough for a steady rate, each of them pausing between requests.
HELD_CONNECTIONS = 64
HALVES = ("router", "collector")
STORED = ("match", "within_tolerance", "proba_shift", "label_flip")


@dataclass(frozen=True)
class Figures:
    """One turn: milliseconds of a paced client, requests a second at full load."""

    p50_ms: float
    p99_ms: float
    rate: float
    stored: float
    loss: float
    #: Microseconds of a core that router and collector took for a request.
    router_us: float = 0.0
    collector_us: float = 0.0


def main(arguments: Sequence[str]) -> None:
    """Parse the command line, start live and shadow, measure, print."""
    parser = argparse.ArgumentParser(
        prog="tox run -e bench-router --",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=4, help="of each load")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pace", type=float, default=400, help="requests a second")
    parser.add_argument(
        "--memory",
        type=int,
        metavar="N",
        help="instead: send N requests, all shadowed, and watch the router's memory",
    )
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        upstreams = Upstreams(
            running.enter_context(service("live", "live")),
            running.enter_context(service("shadow", "shadow")),
            running.enter_context(hung_server()),
        )
        load = Load(folder, options.seconds, options.pace)
        load.write(upstreams.live)
        if options.memory:
            watch_memory(load, upstreams, options.memory)
        else:
            compare(load, upstreams, options.rounds)


def compare(load: Load, upstreams: Upstreams, rounds: int) -> None:
    """Measure every way to live, and print a table."""
    found: dict[str, list[Figures]] = {proxy.name: [] for proxy in PROXIES}
    for number in range(1, rounds + 1):
        for proxy in PROXIES:
            print(f"round {number} of {rounds}: {proxy.name}", flush=True)
            with proxy.running(upstreams) as started:
                found[proxy.name].append(measure(load, started))
    for line in table(found):
        print(line)
    rate = 2 * median(found["nginx, mirror"]).rate
    print("all shadowed, " + held(load, upstreams, rate))


def measure(load: Load, started: Started) -> Figures:
    """Return the figures of one turn."""
    load.full(started.port, 1)
    before = started.fates() if started.private else {}
    times = load.paced(started.port)
    after = started.fates() if started.private else {}
    loss = lost(before, after) / max(1, len(times))
    if not started.private:
        rate = load.full(started.port, load.seconds)
        return Figures(*middle_and_tail(times), rate, 0.0, 0.0)
    cores = [started.core_s(half) for half in HALVES]
    before, began = after, time.monotonic()
    rate = load.full(started.port, load.seconds)
    seconds = started.settled_at() - began
    cores = [started.core_s(half) - s for half, s in zip(HALVES, cores, strict=True)]
    after = started.fates()
    stored = sum(after[name] - before[name] for name in STORED)
    sent = sum(after.values()) - sum(before.values())
    loss = max(loss, lost(before, after) / max(1, sent))
    each = (core / sent * 1e6 for core in cores)
    return Figures(*middle_and_tail(times), rate, stored / seconds, loss, *each)


def lost(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """Return how many copies were dropped in between."""
    names = [name for name in after if name.startswith("dropped_")]
    return sum(after[name] - before.get(name, 0) for name in names)


def middle_and_tail(times: list[float]) -> tuple[float, float]:
    """Return the 50th and 99th percentile."""
    cuts = statistics.quantiles(times, n=100)
    return cuts[49], cuts[98]


def table(found: Mapping[str, Sequence[Figures]]) -> Iterator[str]:
    """Yield the lines of the table, and what the bars are about."""
    middle = {name: median(figures) for name, figures in found.items()}
    direct = middle["direct"]
    yield f"{'':22}{'paced':>24}{'full':>28}{'core us/req':>18}"
    heads = ("p50 ms", "added", "p99 ms", "req/s", "stored/s", "loss", "router")
    yield f"{'':22}" + "".join(f"{head:>9}" for head in heads) + f"{'collector':>11}"
    for name, one in middle.items():
        yield (
            f"{name:22}{one.p50_ms:9.3f}{one.p50_ms - direct.p50_ms:+9.3f}"
            f"{one.p99_ms:9.3f}{one.rate:9,.0f}{one.stored:9,.0f}{one.loss:9.2%}"
            f"{one.router_us:9.1f}{one.collector_us:11.1f}"
        )
    off = [*found["router, shadow off"], *found["router, off again"]]
    tails = [one.p99_ms for one in off]
    yield f"\np99 with the shadow off: {min(tails):.2f} to {max(tails):.2f} ms a block"


def median(figures: Sequence[Figures]) -> Figures:
    """Return the median of each figure on its own."""
    names = [field.name for field in fields(Figures)]
    return Figures(
        **{n: statistics.median(getattr(one, n) for one in figures) for n in names}
    )


def held(load: Load, upstreams: Upstreams, rate: float) -> str:
    """Return what the router makes of a steady rate, which no queue can flatter."""
    seconds = 4 * load.seconds
    with Router("router", 1.0).running(upstreams) as started:
        pause_ms = HELD_CONNECTIONS / rate * 1e3
        for _ in range(3):
            # What a request takes is part of the pause that wrk makes.
            sent = load.full(started.port, 2, HELD_CONNECTIONS, pause_ms)
            taken_ms = HELD_CONNECTIONS / sent * 1e3 - pause_ms
            pause_ms = max(0.001, HELD_CONNECTIONS / rate * 1e3 - taken_ms)
        before = started.fates()
        sent = load.full(started.port, seconds, HELD_CONNECTIONS, pause_ms)
        after = started.fates()
    stored = sum(after[name] - before[name] for name in STORED)
    share = lost(before, after) / (sum(after.values()) - sum(before.values()))
    return (
        f"held at 2 x nginx's mirror ({rate:,.0f} req/s) for {seconds:g} s: "
        f"{sent:,.0f} req/s, {stored:,} stored, {share:.2%} lost"
    )


def watch_memory(load: Load, upstreams: Upstreams, requests: int) -> None:
    """Send requests, all of them shadowed, and print resident memory on the way."""
    with Router("router", 1.0).running(upstreams) as started:
        sent = 0
        print(f"{'requests':>10}{'router MB':>11}{'collector MB':>14}")
        while sent < requests:
            load.full(started.port, load.seconds)
            sent = sum(started.fates().values())
            router, collector = map(started.resident_mb, HALVES)
            print(f"{sent:10,}{router:11.1f}{collector:14.1f}", flush=True)
        print(f"lost: {lost({}, started.fates()) / sent:.2%}")


if __name__ == "__main__":
    end_with_starters()
    codes: dict[type[Exception], int] = {CannotStart: REFUSED}
    sys.exit(exit_code("cannot measure", lambda: main(given()), codes))
