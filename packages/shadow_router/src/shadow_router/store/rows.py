"""Writing comparisons one by one, and whole discrepancies for people to look at."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shadow_router.records import DISCREPANCIES, Comparison
from shadow_router.store import schema
from shadow_router.store.adding import add, insert
from shadow_router.store.keeping import Keep, read_kept

_LABELS_SHOWN = 20


def write_rows(connection: sa.Connection, items: Sequence[Comparison]) -> None:
    """Insert a row for each comparison."""
    if not items:
        return
    last = _last_id(connection, schema.comparisons)
    rows = [_row(last + i, item) for i, item in enumerate(items, start=1)]
    insert(connection, schema.comparisons, rows)


def _last_id(connection: sa.Connection, table: sa.Table) -> int:
    return connection.scalar(sa.select(sa.func.max(table.c.id))) or 0


def _row(row_id: int, item: Comparison) -> dict[str, Any]:
    difference, live, shadow = item.difference, item.live, item.shadow
    worst = difference.worst_row
    return {
        "id": row_id,
        **_told(item),
        "rows": len(difference.rows),
        "total_variation": worst.total_variation if worst else None,
        "live_ms": live.latency_ms,
        "shadow_ms": shadow.latency_ms if shadow else None,
        "live_predict_ms": live.predict_ms,
        "shadow_predict_ms": shadow.predict_ms if shadow else None,
        "input_digest": item.request_digest,
        "live_version": difference.live_version,
        "shadow_version": difference.shadow_version,
    }


def _told(item: Comparison) -> dict[str, Any]:
    difference = item.difference
    worst, shown = difference.worst_row, list(difference.rows)
    if len(shown) > _LABELS_SHOWN:
        # What changed comes first where not all can be shown.
        shown.sort(key=lambda row: not row.is_flip)
    return {
        "router_id": item.router_id,
        "request_id": item.exchange.request_id,
        "at_ns": item.exchange.at_ns,
        "fate": difference.fate.value,
        "reason": difference.reason,
        "live_labels": _shown([row.live for row in shown]),
        "shadow_labels": _shown([row.shadow for row in shown]),
        "max_delta": difference.max_delta,
        "live_margin": worst.margin if worst else None,
        "live_status": item.live.status,
        "shadow_status": item.shadow.status if item.shadow else None,
    }


def _shown(labels: list[str]) -> str:
    rest = "" if len(labels) <= _LABELS_SHOWN else f", … {len(labels)} in all"
    return ", ".join(label[:64] for label in labels[:_LABELS_SHOWN]) + rest


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
    last = _last_id(connection, schema.discrepancies)
    for item in reversed(differing):
        fate = item.difference.fate.value
        bodies = _bodies(item)
        is_room = numbers[fate] + kept.get(fate, (0, 0))[0] < keep.discrepancies
        is_room &= in_all + sizes.total() + bodies["bytes"] <= keep.body_bytes
        if numbers[fate] and not is_room:
            continue
        numbers[fate] += 1
        sizes[fate] += bodies["bytes"]
        rows.append({**_told(item), **bodies})
    numbered = (row | {"id": last + i} for i, row in enumerate(reversed(rows), start=1))
    insert(connection, schema.discrepancies, numbered)
    more = ({"name": f, "n": n, "bytes": sizes[f]} for f, n in numbers.items())
    add(connection, schema.kept, more)


def _bodies(item: Comparison) -> dict[str, Any]:
    request, live = item.exchange.request_body, item.live.body
    shadow = item.shadow.body if item.shadow else None
    size = len(request) + len(live) + len(shadow or b"")
    path, _, _ = item.exchange.target.partition(b"?")
    route = f"{item.exchange.method} {path.decode('latin-1')}"
    return {
        "route": route,
        "request": request,
        "live": live,
        "shadow": shadow,
        "bytes": size,
    }
