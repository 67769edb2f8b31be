"""
Names from outside that sums are kept by: so many, and one for all the others.

A label, a version or a digest is whatever a service says, and may be another one each
time: without an end to them a store would grow with every answer.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa

from shadow_router.store.sql import schema
from shadow_router.values import Comparison, RowDifference

MOST_LABELS, MOST_PAIRS, MOST_SEGMENTS, MOST_VERSIONS = 1000, 5000, 5000, 20
#: What all others count as; the second where the versions disagree on two of them.
OTHER, ANOTHER = "(other)", "(another)"
_LONGEST = 200

Pair = tuple[str, str]


class Names:
    """
    The names that a store holds, in the order in which they came.

    Parameters
    ----------
    pairs : iterable of pair of str
        Labels, live's and the shadow's.
    segments : iterable of str
        Names of segments.
    versions : iterable of tuple of str
        Role, version and digest.
    """

    def __init__(
        self,
        pairs: Iterable[Pair] = (),
        segments: Iterable[str] = (),
        versions: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        self._pairs = set(pairs)
        self._labels = {label for pair in self._pairs for label in pair}
        self._segments, self._versions = set(segments), set(versions)

    def limited(self, items: Sequence[Comparison]) -> list[Comparison]:
        """Return comparisons that bear no more names than are kept."""
        return [self._limited(item) for item in items]

    def segment(self, name: str) -> str:
        """Return the name by which a segment is counted."""
        if name not in self._segments:
            if len(self._segments) >= MOST_SEGMENTS:
                return OTHER
            self._segments.add(name)
        return name

    def _limited(self, item: Comparison) -> Comparison:
        found = item.difference
        live = self._version("live", found.live_version, found.live_digest)
        shadow = self._version("shadow", found.shadow_version, found.shadow_digest)
        told = (found.live_version, found.live_digest)
        if (live, shadow) != (told, (found.shadow_version, found.shadow_digest)):
            found = found._replace(
                live_version=live[0],
                live_digest=live[1],
                shadow_version=shadow[0],
                shadow_digest=shadow[1],
            )
        elif all((row.live, row.shadow) in self._pairs for row in found.rows):
            return item
        units = tuple(one._replace(row=self._row(one.row)) for one in item.units)
        found = found._replace(rows=tuple(map(self._row, found.rows)))
        return item._replace(difference=found, units=units)

    def _row(self, row: RowDifference) -> RowDifference:
        live, shadow = self._pair(row.live, row.shadow)
        return row._replace(live=live, shadow=shadow)

    def _pair(self, live: str, shadow: str) -> Pair:
        if (live, shadow) in self._pairs:
            return live, shadow
        pair = shortened(live), shortened(shadow)
        labels = self._labels.union(pair)
        # Agreement comes first: there are as many such pairs as labels.
        is_room = live == shadow or len(self._pairs) < MOST_PAIRS
        if pair in self._pairs or (is_room and len(labels) <= MOST_LABELS):
            self._pairs.add(pair)
            self._labels.update(pair)
            return pair
        return OTHER, OTHER if live == shadow else ANOTHER

    def _version(self, role: str, version: str, digest: str) -> Pair:
        if (role, version, digest) in self._versions or not (version or digest):
            return version, digest
        told = role, shortened(version), shortened(digest)
        if told not in self._versions:
            if sum(one[0] == role for one in self._versions) >= MOST_VERSIONS:
                return OTHER, ""
            self._versions.add(told)
        return told[1], told[2]


def shortened(name: str) -> str:
    """Return a name that is not too long to keep, and still another than others."""
    if len(name) <= _LONGEST:
        return name
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{name[: _LONGEST - 20]}… {digest}"


def read_names(connection: sa.Connection) -> Names:
    """Return the names that a store holds by now."""
    pairs, versions = schema.confusion.c, schema.versions.c
    labels = sa.select(pairs.live, pairs.shadow).limit(MOST_PAIRS + MOST_LABELS)
    told = sa.select(versions.role, versions.version, versions.digest)
    segments = sa.select(schema.segments.c.name).limit(MOST_SEGMENTS)
    return Names(
        ((row.live, row.shadow) for row in connection.execute(labels)),
        connection.scalars(segments),
        (tuple(row) for row in connection.execute(told.limit(4 * MOST_VERSIONS))),
    )


def read_pairs(connection: sa.Connection, table: sa.Table) -> dict[Pair, int]:
    """Return the most frequent pairs of labels, and how often others came."""
    c = table.c
    most = MOST_PAIRS + MOST_LABELS
    ordered = sa.select(table).order_by(c.n.desc(), c.live, c.shadow).limit(most)
    pairs = {(row.live, row.shadow): row.n for row in connection.execute(ordered)}
    if len(pairs) == most:
        whole = sa.select(c.live == c.shadow, sa.func.sum(c.n)).group_by(sa.text("1"))
        for is_same, n in connection.execute(whole).all():
            kept = sum(k for (a, b), k in pairs.items() if (a == b) == bool(is_same))
            key = (OTHER, OTHER if is_same else ANOTHER)
            if int(n) > kept:
                pairs[key] = pairs.get(key, 0) + int(n) - kept
    return _folded(pairs)


def _folded(pairs: Mapping[Pair, int]) -> dict[Pair, int]:
    """Return the pairs of the most frequent labels, the rest as others."""
    weights = Counter[str]()
    for pair, n in pairs.items():
        for label in pair:
            weights[label] += n
    if len(weights) <= MOST_LABELS + 2:
        return dict(pairs)
    kept = {label for label, _ in weights.most_common(MOST_LABELS)}
    folded = Counter[Pair]()
    for (live, shadow), n in pairs.items():
        if live in kept and shadow in kept:
            folded[live, shadow] += n
        else:
            folded[OTHER, OTHER if live == shadow else ANOTHER] += n
    return folded


def read_top(
    connection: sa.Connection, table: sa.Table, most: int, *where: Any
) -> Sequence[sa.Row[Any]]:
    """Return the rows of the largest counts."""
    ordered = sa.select(table).where(*where).order_by(table.c.n.desc(), *table.c)
    return connection.execute(ordered.limit(most)).all()


def names_fault(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """Return what is wrong where labels were more than are kept apart."""
    if not any(OTHER in pair for pair in pairs):
        return ()
    most = f"{MOST_LABELS:,} labels or {MOST_PAIRS:,} pairs of them"
    return (f"there were more than {most}; the rest counts as {OTHER}",)
