"""
Measure how many comparisons a second the engine makes when both answers are at hand.

Requests of one row, all of them different. `differing`: the shadow is another version,
and each 50th of its answers moves a probability. `identical`: it says the same, byte
for byte. `compare` is the comparison alone, `with evidence` adds digests and inputs, as
in a run and in a replay; no network and no store takes part. The four take turns within
a round. Prints CPU time, since a machine may do other work: best and middle round.
"""

import statistics
import time
from collections.abc import Callable

from store import pair

from shadow_router.compare.compare import compare
from shadow_router.compare.comparisons import comparison_of, live_observation
from shadow_router.rules.rules import DEFAULT
from shadow_router.values import Exchange, Observation

COUNT = 4_000
ROUNDS = 25
Pairs = list[tuple[Exchange, Observation]]


def kinds() -> dict[str, Pairs]:
    """Return the pairs of both kinds."""
    differing = [pair(number) for number in range(COUNT)]
    return {
        "differing": differing,
        "identical": [(one, same_answer(one)) for one, _ in differing],
    }


def same_answer(exchange: Exchange) -> Observation:
    """Return what live said as the shadow's answer."""
    return Observation(200, "application/json", "", exchange.live_body, 2.0, 0.4)


def comparing(pairs: Pairs) -> Callable[[], None]:
    """Return work that compares all pairs."""
    both = [(live_observation(exchange), shadow) for exchange, shadow in pairs]

    def work() -> None:
        for live, shadow in both:
            compare(live, shadow, DEFAULT)

    return work


def with_evidence(pairs: Pairs) -> Callable[[], None]:
    """Return work that compares all pairs and tells their inputs apart."""

    def work() -> None:
        for exchange, shadow in pairs:
            comparison_of("router", exchange, shadow, DEFAULT)

    return work


def seconds(work: Callable[[], None]) -> float:
    """Return the CPU seconds that some work takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Print one line for each kind of pairs and of work."""
    works = {
        f"{kind}, {name}": make(pairs)
        for kind, pairs in kinds().items()
        for name, make in (("compare", comparing), ("with evidence", with_evidence))
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            taken[name].append(seconds(work))
    for name, rounds in taken.items():
        best, middle = COUNT / min(rounds), COUNT / statistics.median(rounds)
        print(f"{name:<26}{best:>9,.0f}/s at best, {middle:>9,.0f}/s in the middle")


if __name__ == "__main__":
    main()
