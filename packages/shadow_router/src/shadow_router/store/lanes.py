"""What the lanes have tried: their seeds and shares, and how each trial came out."""

import secrets
import time
from collections import Counter
from collections.abc import Mapping

import sqlalchemy as sa

from shadow_router.store.sql.adding import add
from shadow_router.store.sql.schema import metadata
from shadow_router.values import Lane
from shadow_router.verdict.evidence import Lanes, Tried

#: Lane, what was tried, and whether it came out as it must: how often.
Trials = Mapping[tuple[Lane, str, bool], int]

lane_runs = sa.Table(
    "lane_runs",
    metadata,
    sa.Column("seed", sa.Text, primary_key=True),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
    sa.Column("noise_share", sa.Float, nullable=False),
    sa.Column("mutant_share", sa.Float, nullable=False),
)
lane_trials = sa.Table(
    "lane_trials",
    metadata,
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("good", sa.BigInteger, nullable=False),
)


def begin_lanes(
    connection: sa.Connection, noise_share: float, mutant_share: float
) -> str:
    """Return the seed of these shares: the one kept, or a new one."""
    shares = {"noise_share": noise_share, "mutant_share": mutant_share}
    same = sa.select(lane_runs.c.seed).filter_by(**shares).limit(1)
    kept: str | None = connection.scalar(same)
    if kept is not None:
        return kept
    seed = secrets.token_hex(16)
    values = {"seed": seed, "at_ns": time.time_ns(), **shares}
    connection.execute(sa.insert(lane_runs), values)
    return seed


def write_trials(connection: sa.Connection, trials: Trials) -> None:
    """Add what came of some trials."""
    tried: Counter[tuple[str, str]] = Counter()
    good: Counter[tuple[str, str]] = Counter()
    for (lane, name, is_good), n in trials.items():
        tried[lane.value, name] += n
        good[lane.value, name] += n if is_good else 0
    rows = (
        {"lane": lane, "name": name, "n": n, "good": good[lane, name]}
        for (lane, name), n in tried.items()
    )
    add(connection, lane_trials, rows)


def read_lanes(connection: sa.Connection) -> Lanes:
    """Return both lanes; one that never had a share is not running."""
    runs = connection.execute(sa.select(lane_runs).order_by(lane_runs.c.at_ns)).all()
    trials = connection.execute(sa.select(lane_trials)).all()

    def tried(lane: Lane) -> tuple[int, int]:
        rows = [row for row in trials if row.lane == lane.value]
        return sum(row.n for row in rows), sum(row.good for row in rows)

    asked, silent = tried(Lane.LIVE_AGAINST_LIVE)
    missed = {r.name for r in trials if r.lane == Lane.MUTANTS and r.good < r.n}
    has_noise = any(run.noise_share for run in runs)
    has_mutants = any(run.mutant_share for run in runs)
    return Lanes(
        live_against_live=Tried(asked, asked - silent) if has_noise else None,
        mutants=Tried(*tried(Lane.MUTANTS)) if has_mutants else None,
        missed=tuple(sorted(missed)),
        seeds=tuple(run.seed for run in runs),
    )
