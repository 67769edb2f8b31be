"""Writing comparisons one by one, and whole discrepancies for people to look at."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from shadow_router.store.ageing import last_id
from shadow_router.store.keeping import Keep, read_kept
from shadow_router.store.sql import schema
from shadow_router.store.sql.adding import add, insert, insert_tuples
from shadow_router.store.sql.schema import without_nul
from shadow_router.values import DISCREPANCIES, Comparison, RowDifference

_LABELS_SHOWN = 20
_COLUMNS = tuple(column.name for column in schema.comparisons.columns)
#: What rows and discrepancies say alike.
_TOLD = tuple(
    name for name in _COLUMNS if name != "id" and name in schema.discrepancies.columns
)


def write_rows(connection: sa.Connection, items: Sequence[Comparison]) -> None:
    """Insert a row for each comparison."""
    if not items:
        return
    last = last_id(connection, schema.comparisons)
    rows = [_row(last + i, item) for i, item in enumerate(items, start=1)]
    insert_tuples(connection, schema.comparisons, rows)


def _row(row_id: int, item: Comparison) -> tuple[Any, ...]:
    """Return the values of a row: a plain tuple, since one is made for a request."""
    difference, exchange = item.difference, item.exchange
    live, shadow, worst = item.live, item.shadow, item.difference.worst_row
    return (
        row_id,
        item.router_id,
        without_nul(exchange.request_id),
        exchange.at_ns,
        difference.fate.value,
        _clean(difference.reason),
        len(difference.rows),
        *_labels(difference.rows),
        difference.max_delta,
        worst.total_variation if worst else None,
        worst.margin if worst else None,
        live.status,
        shadow.status if shadow else None,
        live.latency_ms,
        shadow.latency_ms if shadow else None,
        live.predict_ms,
        shadow.predict_ms if shadow else None,
        item.request_digest,
        _clean(difference.live_version),
        _clean(difference.shadow_version),
    )


def _labels(rows: Sequence[RowDifference]) -> tuple[str, str]:
    """Return both versions' labels, shortened."""
    if len(rows) == 1:
        return _clean(rows[0].live[:64]), _clean(rows[0].shadow[:64])
    if len(rows) > _LABELS_SHOWN:
        # What changed comes first where not all can be shown.
        rows = sorted(rows, key=lambda row: not row.is_flip)
    live, shadow = [row.live for row in rows], [row.shadow for row in rows]
    return _shown(live), _shown(shadow)


def _shown(labels: list[str]) -> str:
    rest = "" if len(labels) <= _LABELS_SHOWN else f", … {len(labels)} in all"
    listed = ", ".join(label[:64] for label in labels[:_LABELS_SHOWN])
    return _clean(listed + rest)


@lru_cache(maxsize=4096)
def _clean(text: str) -> str:
    return str(without_nul(text))


def write_discrepancies(
    connection: sa.Connection, items: Sequence[Comparison], keep: Keep
) -> None:
    """
    Keep what a person may want to look at, newest first, as far as there is room.

    Where there is none left, one of each fate in a batch still takes the place of an
    older one: a flood costs no more than that.
    """
    differing = [one for one in items if one.difference.fate in DISCREPANCIES]
    if not differing:
        return
    kept = read_kept(connection)
    in_all = sum(size for _, size in kept.values())
    numbers, sizes = Counter[str](), Counter[str]()
    rows: list[dict[str, Any]] = []
    last = last_id(connection, schema.discrepancies)
    for item in reversed(differing):
        fate = item.difference.fate.value
        bodies = _bodies(item)
        is_room = numbers[fate] + kept.get(fate, (0, 0))[0] < keep.discrepancies
        is_room &= in_all + sizes.total() + bodies["bytes"] <= keep.body_bytes
        if numbers[fate] and not is_room:
            continue
        numbers[fate] += 1
        sizes[fate] += bodies["bytes"]
        whole = dict(zip(_COLUMNS, _row(0, item), strict=True))
        rows.append({name: whole[name] for name in _TOLD} | bodies)
    numbered = (row | {"id": last + i} for i, row in enumerate(reversed(rows), start=1))
    insert(connection, schema.discrepancies, numbered)
    more = ({"name": f, "n": n, "bytes": sizes[f]} for f, n in numbers.items())
    add(connection, schema.kept, more)


def _bodies(item: Comparison) -> dict[str, Any]:
    request, live = item.exchange.request_body, item.live.body
    shadow = item.shadow.body if item.shadow else None
    size = len(request) + len(live) + len(shadow or b"")
    route = f"{item.exchange.method} {item.exchange.path.decode('latin-1')}"
    return {
        "route": route,
        "request": request,
        "live": live,
        "shadow": shadow,
        "bytes": size,
    }
