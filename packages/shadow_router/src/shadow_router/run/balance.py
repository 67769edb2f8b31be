"""
What holds of the books at any moment, however requests move; pure.

Counters of a store and of the routers' files are read one after the other, the store
first. A check is here if that order alone cannot break it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from shadow_router.run.books import Page

#: (router id, side, fate): count; side is `router` or `collector`.
Counters = Mapping[tuple[str, str, str], int]


@dataclass(frozen=True, slots=True)
class Check:
    """Two numbers that must be equal, or the first at least the second."""

    name: str
    found: int
    expected: int
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Return whether they are."""
        if self.at_least:
            return self.found >= self.expected
        return self.found == self.expected

    @property
    def said(self) -> str:
        """Return the check in words."""
        relation = "at least " if self.at_least else ""
        return f"{self.name}: {self.found:,} instead of {relation}{self.expected:,}"


def settled_by_router(counters: Counters) -> Counter[str]:
    """Return how many exchanges of each router found their fate at the collector."""
    settled: Counter[str] = Counter()
    for (router_id, side, _), n in counters.items():
        if side == "collector":
            settled[router_id] += n
    return settled


def lasting_checks(
    counters: Counters, finals: Mapping[str, int], pages: Iterable[Page]
) -> Iterator[Check]:
    """Yield the checks; `pages` are those that are not among `finals`."""
    settled = settled_by_router(counters)
    pages = tuple(pages)
    for page in pages:
        name = f"router {page.router_id}"
        yield Check(f"{name}: its books are on record", int(page.is_on_record), 1)
        if page.is_on_record:
            found = page.decided + page.dropped_writer + settled[page.router_id]
            yield Check(f"{name}: received covers fates", page.received, found, True)
    closed: Counter[str] = Counter()
    for (router_id, _, _), n in counters.items():
        closed[router_id] += n
    for router_id, received in finals.items():
        yield Check(f"router {router_id}: closed books", closed[router_id], received)
    for router_id in closed.keys() - finals.keys() - {p.router_id for p in pages}:
        yield Check(f"router {router_id}: its books exist", 0, closed[router_id])
