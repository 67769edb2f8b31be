"""Everything a report says, gathered once: page, JSON and metrics agree by this."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shadow_router.accounts import Accounts, add_up, read_pages
from shadow_router.latency import quantile_ms
from shadow_router.records import COMPARED, SKIPPED
from shadow_router.store import (
    Discrepancy,
    LatencySums,
    read_discrepancies,
    read_totals,
)
from shadow_router.verdict import Evidence, Verdict, judge

_DISCREPANCIES = 50


@dataclass(frozen=True, slots=True)
class Summary:
    """The state of a run at one moment."""

    at: float
    accounts: Accounts
    verdict: Verdict
    versions: Mapping[str, tuple[str, ...]]
    confusion: Mapping[tuple[str, str], int]
    latencies: tuple[LatencySums, ...]
    unique_inputs: int
    unique_flips: int
    discrepancies: tuple[Discrepancy, ...]

    @property
    def sampled(self) -> int:
        """Return how many requests were meant to be compared."""
        fates = self.accounts.fates
        return sum(n for fate, n in fates.items() if fate not in SKIPPED)

    @property
    def compared(self) -> int:
        """Return how many pairs of answers were put side by side."""
        return sum(self.accounts.fates[fate] for fate in COMPARED)


def summarise(directory: Path) -> Summary:
    """
    Return the summary of a data directory.

    Raises
    ------
    DataDirectoryMissing
        If no collector has ever run on the directory.
    """
    totals = read_totals(directory)
    pages = read_pages(directory, totals.finals)
    accounts = add_up(totals.counters, totals.finals, pages)
    evidence = Evidence(
        fates=accounts.fates,
        unique_inputs=totals.unique_inputs,
        unique_flips=totals.unique_flips,
        live_versions=totals.versions["live"],
        shadow_versions=totals.versions["shadow"],
    )
    return Summary(
        at=time.time(),
        accounts=accounts,
        verdict=judge(evidence),
        versions=totals.versions,
        confusion=totals.confusion,
        latencies=totals.latencies,
        unique_inputs=totals.unique_inputs,
        unique_flips=totals.unique_flips,
        discrepancies=tuple(read_discrepancies(directory, _DISCREPANCIES)),
    )


def as_json(summary: Summary) -> dict[str, object]:
    """Return the summary as plain values; bodies stay on the page."""
    verdict = summary.verdict
    return {
        "at": summary.at,
        "verdict": {
            "state": verdict.state.value,
            "reason": verdict.reason,
            "gates": [
                {"name": g.name, "state": g.state.value, "reason": g.reason}
                for g in verdict.gates
            ],
        },
        "versions": {role: list(names) for role, names in summary.versions.items()},
        "received": summary.accounts.received,
        "sampled": summary.sampled,
        "compared": summary.compared,
        "open": summary.accounts.open,
        "loss": verdict.loss,
        "fates": {fate.value: n for fate, n in summary.accounts.fates.items()},
        "unique_inputs": summary.unique_inputs,
        "unique_flips": summary.unique_flips,
        "flip_rate": {
            "lower": verdict.flip_rate.lower,
            "upper": verdict.flip_rate.upper,
            "alpha": verdict.alpha,
        },
        "confusion": [
            {"live": live, "shadow": shadow, "n": n}
            for (live, shadow), n in sorted(summary.confusion.items())
        ],
        "latency_ms": [_latency_json(sums) for sums in summary.latencies],
        "discrepancies": [_discrepancy_json(item) for item in summary.discrepancies],
    }


def _latency_json(sums: LatencySums) -> dict[str, object]:
    return {
        "role": sums.role,
        "clock": sums.clock,
        "n": sum(sums.counts.values()),
        "p50": quantile_ms(sums.counts, 0.50),
        "p95": quantile_ms(sums.counts, 0.95),
        "p99": quantile_ms(sums.counts, 0.99),
    }


def _discrepancy_json(item: Discrepancy) -> dict[str, object]:
    return {
        "request_id": item.request_id,
        "at_ns": item.at_ns,
        "fate": item.fate.value,
        "reason": item.reason,
        "live_labels": item.live_labels,
        "shadow_labels": item.shadow_labels,
        "max_delta": item.max_delta,
        "live_margin": item.live_margin,
        "live_status": item.live_status,
        "shadow_status": item.shadow_status,
    }
