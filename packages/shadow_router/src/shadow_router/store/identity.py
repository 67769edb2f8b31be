"""Digests that the services told when asked, and how old the newest evidence is."""

from collections.abc import Mapping

import sqlalchemy as sa

from shadow_router.store.naming import MOST_VERSIONS, OTHER
from shadow_router.store.sql import schema
from shadow_router.store.sql.adding import add

identities = sa.Table(
    "identities",
    schema.metadata,
    sa.Column("role", schema.Words, primary_key=True),
    sa.Column("digest", schema.Words, primary_key=True),
    # How often it was noted: once by each process that met it.
    sa.Column("n", sa.BigInteger, nullable=False),
)
Seen = tuple[tuple[str, str], ...]
#: Beside the roles: the key by which inputs are told apart, by its digest.
KEY = "input key"


def write_identity(connection: sa.Connection, role: str, digest: str) -> None:
    """Note that a role runs the artefact of a digest; beyond some, of another."""
    c = identities.c
    known = set(connection.scalars(sa.select(c.digest).where(c.role == role)))
    if digest not in known and len(known) >= MOST_VERSIONS:
        digest = OTHER
    add(connection, identities, [{"role": role, "digest": digest, "n": 1}])


def with_digests(
    connection: sa.Connection, versions: Mapping[str, Seen]
) -> dict[str, Seen]:
    """Return version and digest by role, with the digests that were asked for."""
    # A store that no collector has opened since there were digests has no table.
    if not sa.inspect(connection).has_table(identities.name):
        return dict(versions)
    ordered = sa.select(identities).order_by(identities.c.digest)
    rows = connection.execute(ordered).all()
    return {
        role: joined(seen, [row.digest for row in rows if row.role == role])
        for role, seen in versions.items()
    }


def joined(seen: Seen, digests: list[str]) -> Seen:
    """
    Return what a role answered as, each version with its digest where that is sure.

    More than one digest stays more than one entry: a run compares two artefacts.
    """
    if not digests or any(digest for _, digest in seen):
        return seen
    versions = [version for version, _ in seen] or [""]
    if len(versions) == 1 or len(digests) == 1:
        return tuple((version, digest) for version in versions for digest in digests)
    return (*seen, *(("", digest) for digest in digests))


def key_fault(connection: sa.Connection) -> tuple[str, ...]:
    """Return what is wrong where inputs were told apart by more than one key."""
    if not sa.inspect(connection).has_table(identities.name):
        return ()
    count = sa.select(sa.func.count()).where(identities.c.role == KEY)
    keys = connection.scalar(count) or 0
    if keys < 2:
        return ()
    kept = "SHADOW_ROUTER_INPUT_KEY keeps one over restarts"
    return (f"inputs were told apart by {keys} keys; {kept}",)


def newest_ns(connection: sa.Connection) -> int | None:
    """Return when the newest comparison's request came, in ns since 1970."""
    c = schema.comparisons.c
    found: int | None = connection.scalar(
        sa.select(c.at_ns).order_by(c.id.desc()).limit(1)
    )
    return found
