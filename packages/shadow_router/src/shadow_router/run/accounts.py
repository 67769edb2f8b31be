"""Adding up what the routers' files and the store say; pure but for reading pages."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shadow_router.run.books import Page, find_books, read_page
from shadow_router.values import Fate


@dataclass(frozen=True, slots=True)
class Accounts:
    """All requests of a data directory and what became of them."""

    received: int
    fates: Mapping[Fate, int]
    pages: tuple[Page, ...]

    @property
    def open(self) -> int:
        """Return how many requests have no fate yet."""
        return self.received - sum(self.fates.values())

    @property
    def queue_items(self) -> int:
        """Return how many exchanges wait in the queues of running routers."""
        return sum(page.queue_items for page in self.pages if page.is_alive)

    @property
    def queue_bytes(self) -> int:
        """Return how many bytes wait in the queues of running routers."""
        return sum(page.queue_bytes for page in self.pages if page.is_alive)


def read_pages(
    directory: Path, finals: Container[str], elsewhere: Mapping[str, Page] | None = None
) -> tuple[Page, ...]:
    """
    Return the pages of all routers whose books are still open.

    Parameters
    ----------
    directory : Path
        Where the files of this machine's routers are.
    finals : container of str
        Routers whose books are closed.
    elsewhere : mapping of str to Page
        What the store knows of routers on any machine; their own files tell better.
    """
    files = (read_page(path) for path in find_books(directory))
    pages = dict(elsewhere or {}) | {page.router_id: page for page in files if page}
    return tuple(page for name, page in pages.items() if name not in finals)


def add_up(
    counters: Mapping[tuple[str, str, str], int],
    finals: Mapping[str, int],
    pages: Iterable[Page],
) -> Accounts:
    """Return the accounts; every request is counted on exactly one side."""
    pages = tuple(pages)
    fates: Counter[Fate] = Counter()
    for (_, _, fate), n in counters.items():
        fates[Fate(fate)] += n
    for page in pages:
        fates.update(page.fates)
        fates[Fate.DROPPED_WRITER] += page.dropped_writer
    received = sum(finals.values()) + sum(page.received for page in pages)
    return Accounts(received, {fate: fates[fate] for fate in Fate}, pages)
