"""
Measure how many comparisons a second the collector's own work allows.

One-row requests, all of them different, are compared, turned into evidence and written
in batches as the collector does; no network takes part. Prints one line a batch size,
the median of five rounds; sizes take turns within a round.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from shadow_router.collector import comparison_of
from shadow_router.records import Comparison, Exchange, Observation
from shadow_router.rules import DEFAULT
from shadow_router.store import Batch, Store

COUNT = 10_000
SIZES = (150, 1000)
ROUNDS = 5


def answer(version: str, p: float) -> bytes:
    """Return an answer of one row."""
    row = {
        "label": "a" if p > 0.5 else "b",
        "probabilities": {"a": p, "b": 1 - p},
        "out_of_range": [],
    }
    model = {"name": "m", "version": version}
    return json.dumps({"model": model, "predictions": [row]}).encode()


def pair(number: int) -> tuple[Exchange, Observation]:
    """Return a request with live's answer, and the shadow's; every 50th differs."""
    p = number % 97 / 97
    q = min(1.0, p + (0.01 if number % 50 == 0 else 0.0))
    body = b'{"inputs":[{"x":%d,"y":2.5,"z":1.5,"w":0.25}]}' % number
    timing = f"predict;dur={0.4 + number % 30 / 100}"
    headers = {"content-type": "application/json", "server-timing": timing}
    exchange = Exchange(
        request_id=f"id-{number}",
        at_ns=time.time_ns(),
        method="POST",
        target=b"/v1/predict",
        headers=(),
        request_body=body,
        live_status=200,
        live_headers=headers,
        live_ms=1.0 + number % 50 / 10,
        live_body=answer("1", p),
    )
    latencies = (2.0 + number % 50 / 10, 0.4 + number % 31 / 100)
    return exchange, Observation(
        200, "application/json", "", answer("2", q), *latencies
    )


def made(exchange: Exchange, shadow: Observation) -> Comparison:
    """Return what the collector makes of them."""
    return comparison_of("r", exchange, shadow, DEFAULT)


def measure(pairs: list[tuple[Exchange, Observation]], size: int) -> tuple[float, ...]:
    """Return seconds of comparing, and of writing in batches of this size."""
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        began = time.perf_counter()
        items = [made(*one) for one in pairs]
        compared = time.perf_counter()
        for start in range(0, len(items), size):
            store.write(Batch(items[start : start + size]))
        written = time.perf_counter()
        store.close()
    return compared - began, written - compared


def main() -> None:
    """Measure and print."""
    pairs = [pair(number) for number in range(COUNT)]
    times: dict[int, list[tuple[float, ...]]] = {size: [] for size in SIZES}
    for _ in range(ROUNDS):
        for size in SIZES:
            times[size].append(measure(pairs, size))
    for size, rounds in times.items():
        comparing, writing = (statistics.median(x) for x in zip(*rounds, strict=True))
        print(
            f"batches of {size:>4}: compare {COUNT / comparing:>7,.0f}/s, "
            f"write {COUNT / writing:>7,.0f}/s, "
            f"both {COUNT / (comparing + writing):>7,.0f}/s"
        )


if __name__ == "__main__":
    main()
