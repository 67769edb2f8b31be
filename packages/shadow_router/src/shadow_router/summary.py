"""Everything a report says, gathered once: page, JSON and metrics agree by this."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from shadow_router.accounts import Accounts, add_up, read_pages
from shadow_router.errors import StoreUnreadable
from shadow_router.evidence import Evidence
from shadow_router.records import COMPARED, SKIPPED
from shadow_router.rules import DEFAULT, Rules
from shadow_router.store import LabelTotals, LatencySums, labelled, read_totals
from shadow_router.verdict import Verdict, judge


@dataclass(frozen=True, slots=True)
class Summary:
    """The state of a run at one moment."""

    at: float
    accounts: Accounts
    verdict: Verdict
    #: Version and digest by role, more than one if they changed.
    versions: Mapping[str, tuple[tuple[str, str], ...]]
    #: When the newest comparison's request came, in s since 1970; None: there is none.
    newest_at: float | None
    rules: Rules
    evidence: Evidence
    labels: LabelTotals
    confusion: Mapping[tuple[str, str], int]
    latencies: tuple[LatencySums, ...]

    @property
    def unique_inputs(self) -> int:
        """Return how many different inputs both versions labelled."""
        return int(self.evidence.tallies.inputs)

    @property
    def unique_flips(self) -> int:
        """Return how many of them got different labels."""
        return int(self.evidence.tallies.flips)

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
    known = _known_rules(totals.rules)
    rules = known[-1] if known else DEFAULT
    evidence = Evidence(
        fates=accounts.fates,
        tallies=totals.tallies,
        live_versions=tuple(map(shown_version, totals.versions["live"])),
        shadow_versions=tuple(map(shown_version, totals.versions["shadow"])),
        rules=tuple(one.sha256 for one in known),
        labelled=labelled(totals.labels, totals.tallies),
        lanes=totals.lanes,
        inputs_per_s=totals.inputs_per_s,
    )
    return Summary(
        at=time.time(),
        accounts=accounts,
        verdict=judge(evidence, rules),
        versions=totals.versions,
        newest_at=None if totals.newest_ns is None else totals.newest_ns / 1e9,
        rules=rules,
        evidence=evidence,
        labels=totals.labels,
        confusion=totals.confusion,
        latencies=totals.latencies,
    )


def _known_rules(texts: tuple[str, ...]) -> tuple[Rules, ...]:
    """Return the rules the evidence was gathered by, whatever is set now."""
    try:
        return tuple(map(Rules.model_validate_json, texts))
    except ValidationError:
        raise StoreUnreadable("the store holds rules of another version") from None


def shown_version(seen: tuple[str, str]) -> str:
    """Return a version with the beginning of its digest, where it told one."""
    version, digest = seen
    return f"{version} ({digest[:12]})".lstrip() if digest else version
