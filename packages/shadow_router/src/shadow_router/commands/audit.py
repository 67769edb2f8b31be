"""
Proving, or disproving, that the books balance.

Every number is held against another that was counted somewhere else: a router's
counters against its own gauges, the collector's gauges against the committed fates,
the counters against the rows, and all that was received against all that was found.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from shadow_router.run.accounts import Accounts, add_up, read_pages
from shadow_router.run.balance import Check, lasting_checks, settled_by_router
from shadow_router.run.books import Page, RunState, find_books
from shadow_router.run.directory import has_collector
from shadow_router.store import StoredBooks, read_books
from shadow_router.values import WITH_ROW, Fate, Flow

#: While requests move, two readings a moment apart need not agree; a real
#: difference is still there after this long.
_PATIENCE_S = 3.0
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Audit:
    """Accounts, where the open requests are, and every check that was made."""

    accounts: Accounts
    at_router: int
    in_queue: int
    in_transit: int
    at_collector: int
    #: Of routers that died: the next collector books them as `dropped_crash`.
    unsettled: int
    checks: tuple[Check, ...]

    @property
    def balances(self) -> bool:
        """Return whether every check holds."""
        return all(check.holds for check in self.checks)


def audit(
    directory: Path,
    patience_s: float = _PATIENCE_S,
    store_url: SecretStr | None = None,
) -> Audit:
    """
    Return the audit of a run, of running or of stopped processes.

    Parameters
    ----------
    directory : Path
        Where the books are.
    patience_s : float
        How long to look again while processes run and a check does not hold.
    store_url : SecretStr or None
        Of the store that other machines share; routers there are audited by what
        their collectors last wrote of them.

    Raises
    ------
    DataDirectoryMissing
        If no collector has ever run on the directory.
    """
    deadline = time.monotonic() + patience_s
    while True:
        names = {path.stem for path in find_books(directory)}
        books = read_books(directory, store_url)
        pages = read_pages(directory, books.finals, books.pages)
        found = _audit(books, pages)
        # A router finalised between the two readings would be in neither.
        is_whole = names <= {page.router_id for page in pages} | books.finals.keys()
        if found.balances and is_whole:
            return found
        is_moving = any(p.is_alive for p in pages) or has_collector(directory)
        if not is_moving or time.monotonic() > deadline:
            return found
        time.sleep(_PAUSE_S)


def _audit(books: StoredBooks, pages: tuple[Page, ...]) -> Audit:
    accounts = add_up(books.counters, books.finals, pages)
    settled = settled_by_router(books.counters)
    alive = [page for page in pages if page.is_alive]
    places = (
        sum(page.in_flight for page in alive),
        sum(page.queue_items for page in alive),
        *_beyond_the_queue(alive, books.flows),
        sum(
            page.received - page.decided - page.dropped_writer - settled[page.router_id]
            for page in pages
            if not page.is_alive
        ),
    )
    checks = [
        Check(
            "received = sum of fates + in flight",
            accounts.received,
            sum(accounts.fates.values()) + sum(places),
        )
    ]
    checks += lasting_checks(books.counters, books.finals, pages)
    for page in pages:
        if page.is_on_record:
            checks += _page_checks(page, books, settled[page.router_id])
    checks += _row_checks(books)
    return Audit(accounts, *places, checks=tuple(checks))


def _beyond_the_queue(
    alive: Sequence[Page], flows: Mapping[str, Flow]
) -> tuple[int, int]:
    """
    Return how many exchanges are between the processes, and at the collector.

    The store has its word on what was taken, and only what it could not take is in the
    files: while it refuses, what it said last is as old as that. What was lost since
    has its fate and is in neither place any more.
    """
    named = [(page, flows.get(page.router_id, Flow(0, 0, 0))) for page in alive]
    lost_since = sum(page.dropped_writer - flow.dropped_writer for page, flow in named)
    in_transit = sum(page.handed - flow.taken for page, flow in named) - lost_since
    at_collector = sum(flow.open for _, flow in named)
    # Part of what was lost may have been at the collector then.
    return max(in_transit, 0), at_collector + min(in_transit, 0)


def _page_checks(page: Page, books: StoredBooks, settled: int) -> Iterator[Check]:
    name = f"router {page.router_id}"
    rest = page.received - page.decided
    if page.is_alive:
        gauges = page.handed + page.in_flight + page.queue_items
        yield Check(f"{name}: undecided = handed + gauges", rest, gauges)
        # Two fates for one request would leave both sides equal, and this below 0.
        lowest = min(page.in_flight, page.queue_items, page.queue_bytes)
        yield Check(f"{name}: no gauge is negative", lowest, 0, True)
    else:
        yield Check(f"{name}: undecided covers handed", rest, page.handed, True)
    if page.state is RunState.SETTLED:
        found = settled + page.dropped_writer
        yield Check(f"{name}: nothing left after a clean stop", found, rest)
    flow = books.flows.get(page.router_id)
    taken = flow.taken if flow else 0
    known = flow.open + flow.dropped_writer if flow else 0
    yield Check(f"{name}: taken = settled + open", settled + known, taken)
    yield Check(f"{name}: handed covers taken", page.handed, taken, True)


def _row_checks(books: StoredBooks) -> Iterator[Check]:
    counted: Counter[str] = Counter()
    for (_, side, fate), n in books.counters.items():
        if side == "collector":
            counted[fate] += n
    for fate in WITH_ROW:
        rows = books.rows_by_fate.get(fate, 0)
        yield Check(f"rows with fate {fate}", rows, counted[fate.value])


def as_json(found: Audit) -> dict[str, object]:
    """Return the audit as plain values."""
    return {
        "balances": found.balances,
        "received": found.accounts.received,
        "fates": {fate.value: n for fate, n in found.accounts.fates.items()},
        "in_flight": {
            "router": found.at_router,
            "queue": found.in_queue,
            "transit": found.in_transit,
            "collector": found.at_collector,
        },
        "unsettled": found.unsettled,
        "differences": [
            {"check": c.name, "found": c.found, "expected": c.expected}
            for c in found.checks
            if not c.holds
        ],
    }


def as_text(found: Audit) -> str:
    """Return the audit as a small table, differences last."""
    fates = [(fate.value, found.accounts.fates[fate]) for fate in Fate]
    lines = [f"{'received':<22}{found.accounts.received:>12,}", "-" * 34]
    lines += [f"{name:<22}{n:>12,}" for name, n in fates if n]
    places = (
        ("in flight: router", found.at_router),
        ("in flight: queue", found.in_queue),
        ("in flight: transit", found.in_transit),
        ("in flight: collector", found.at_collector),
        ("unsettled", found.unsettled),
    )
    lines += [f"{name:<22}{n:>12,}" for name, n in places if n]
    wrong = [check for check in found.checks if not check.holds]
    lines += [
        "-" * 34,
        "the books balance" if not wrong else "THE BOOKS DO NOT BALANCE",
    ]
    lines += [f"  {check.said}" for check in wrong]
    return "\n".join(lines)
