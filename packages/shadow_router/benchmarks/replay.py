"""
Measure how many comparisons a second the engine makes when both answers are at hand.

Requests of one row, all of them different, are compared and turned into evidence as in
a run and in a replay; no network and no store takes part. The shadow's answers are of
another version (`differing`), where each 50th moves a probability, or are live's byte
for byte (`identical`). Prints the median of the rounds; the two take turns within a
round. CPU time is given beside, for machines that do other work as well.
"""

import statistics
import time

from store import pair

from shadow_router.collector import comparison_of
from shadow_router.records import Exchange, Observation
from shadow_router.rules import DEFAULT

COUNT = 20_000
ROUNDS = 7
Pair = tuple[Exchange, Observation]


def kinds() -> dict[str, list[Pair]]:
    """Return the pairs of both kinds."""
    differing = [pair(number) for number in range(COUNT)]
    identical = [
        (
            exchange,
            Observation(200, "application/json", "", exchange.live_body, 2.0, 0.4),
        )
        for exchange, _ in differing
    ]
    return {"differing": differing, "identical": identical}


def seconds(pairs: list[Pair]) -> tuple[float, float]:
    """Return wall and CPU seconds of comparing all pairs."""
    wall, cpu = time.perf_counter(), time.process_time()
    for exchange, shadow in pairs:
        comparison_of("router", exchange, shadow, DEFAULT)
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print one line a kind."""
    wanted = kinds()
    taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in wanted}
    for _ in range(ROUNDS):
        for kind, pairs in wanted.items():
            taken[kind].append(seconds(pairs))
    for kind, rounds in taken.items():
        wall, cpu = (statistics.median(times) for times in zip(*rounds, strict=True))
        print(
            f"{kind}: {COUNT / wall:,.0f} comparisons/s, "
            f"{COUNT / cpu:,.0f} by CPU time"
        )


if __name__ == "__main__":
    main()
