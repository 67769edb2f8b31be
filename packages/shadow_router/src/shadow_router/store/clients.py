"""
How much of the evidence is whose, for a bounded number of clients.

When there is no room for another client, it takes the place of the one with the least,
and its count on top of its own (Metwally, Agrawal and El Abbadi, 2005): sums stay as
they are, whoever has more than a thousandth of all is there, and nobody's count is too
high by more than that.
"""

from collections import Counter
from collections.abc import Mapping
from heapq import heapify, heappush, heapreplace

import sqlalchemy as sa

from shadow_router.store.sql import schema
from shadow_router.store.sql.adding import add, insert

#: Clients that are told apart, of each measure.
MOST_CLIENTS = 1000
INPUTS, REQUESTS = "unique inputs", "requests"

clients = sa.Table(
    "clients",
    schema.metadata,
    sa.Column("measure", schema.Words, primary_key=True),
    sa.Column("client", schema.Words, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)


def write_clients(
    connection: sa.Connection, measure: str, counts: Mapping[str, int]
) -> None:
    """Add to what is counted of each client."""
    if not counts:
        return
    of_measure = clients.c.measure == measure
    number = sa.select(sa.func.count()).select_from(clients).where(of_measure)
    if (connection.scalar(number) or 0) + len(counts) <= MOST_CLIENTS:
        add(connection, clients, _rows(measure, counts))
        return
    before = sa.select(clients.c.client, clients.c.n).where(of_measure)
    known = {client: n for client, n in connection.execute(before)}
    connection.execute(sa.delete(clients).where(of_measure))
    insert(connection, clients, _rows(measure, _together(known, counts)))


def _together(known: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """Return both as one, with no more clients than there is room for."""
    kept = Counter(known)
    kept.update({client: n for client, n in counts.items() if client in known})
    heap = [(n, client) for client, n in kept.items()]
    heapify(heap)
    for client in sorted(counts.keys() - known.keys()):
        if len(heap) < MOST_CLIENTS:
            heappush(heap, (counts[client], client))
        else:
            heapreplace(heap, (heap[0][0] + counts[client], client))
    return {client: n for n, client in heap}


def _rows(measure: str, counts: Mapping[str, int]) -> list[dict[str, object]]:
    return [
        {"measure": measure, "client": client, "n": n} for client, n in counts.items()
    ]


def read_clients(connection: sa.Connection) -> dict[str, dict[str, float]]:
    """Return what is counted of each client, by measure."""
    found: dict[str, dict[str, float]] = {}
    for row in connection.execute(sa.select(clients)):
        found.setdefault(row.measure, {})[row.client] = row.n
    return found
