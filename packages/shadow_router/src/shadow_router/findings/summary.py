"""Everything a report says, gathered once: page, JSON and metrics agree by this."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import SecretStr, ValidationError

from shadow_router.errors import StoreUnreadable
from shadow_router.findings.known import Known, Seen, known_by
from shadow_router.rules.rules import DEFAULT, Rules
from shadow_router.run.accounts import Accounts, add_up, read_pages
from shadow_router.run.balance import lasting_checks
from shadow_router.run.books import Page
from shadow_router.store import (
    Discrepancy,
    LabelTotals,
    LatencySums,
    Totals,
    labelled,
    read_totals,
)
from shadow_router.values import COMPARED, SKIPPED
from shadow_router.verdict.evidence import UNNAMED, Evidence
from shadow_router.verdict.verdict import Verdict, judge
from shadow_router.watch.hour import Count

#: A router whose books are taken over between the store and its file looks wrong once.
_READINGS = 2


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
    #: What somebody has explained, expired entries too; no gate asks for it.
    known: tuple[Known, ...] = ()
    #: What of their file could not be read, in one line.
    known_fault: str = ""

    @property
    def today(self) -> date:
        """Return the day of the summary in UTC, by which known entries expire."""
        return datetime.fromtimestamp(self.at, UTC).date()

    def known_as(self, item: Discrepancy) -> Known | None:
        """Return how a discrepancy was explained, None if it was not."""
        seen = Seen(item.fate, item.live_labels, item.shadow_labels, item.reason)
        return known_by(seen, self.known, self.today)

    def named_versions(self, role: str) -> list[str]:
        """Return a role's versions as a person reads them, or why there are none."""
        seen = list(map(shown_version, self.versions[role]))
        if role == "shadow" and self.evidence.is_shadow_absent:
            seen.append(f"nobody answers at {self.evidence.shadow_url}")
        return seen or ["not seen yet"]

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


def summarise(
    directory: Path,
    store_url: SecretStr | None = None,
    shadow_url: str = UNNAMED,
    is_shadow_away: bool = False,
) -> Summary:
    """
    Return the summary of a run.

    Parameters
    ----------
    directory : Path
        The data directory of this machine.
    store_url : SecretStr or None
        Of the store that other machines share, if any: their numbers are in it.
    shadow_url : str
        To be named where nobody answers.
    is_shadow_away : bool
        Whether nobody answers there now.

    Raises
    ------
    DataDirectoryMissing
        If no collector has ever run on the directory.
    """
    totals, pages, faults = _read(directory, store_url)
    accounts = add_up(totals.counters, totals.finals, pages)
    known = _known_rules(totals.rules)
    rules = known[-1] if known else DEFAULT
    evidence = Evidence(
        fates=accounts.fates,
        tallies=totals.tallies,
        clients=totals.clients,
        live_versions=tuple(map(shown_version, totals.versions["live"])),
        shadow_versions=tuple(map(shown_version, totals.versions["shadow"])),
        rules=tuple(one.sha256 for one in known),
        labelled=labelled(totals.labels, totals.tallies),
        lanes=totals.lanes,
        inputs_per_s=totals.inputs_per_s,
        shadow_url=shadow_url,
        faults=(*faults, *totals.faults),
        is_shadow_away=is_shadow_away,
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


def _read(
    directory: Path, store_url: SecretStr | None
) -> tuple[Totals, tuple[Page, ...], tuple[str, ...]]:
    """Return the store's sums, the routers' pages, and what is wrong with them."""
    for _ in range(_READINGS):
        totals = read_totals(directory, store_url)
        pages = read_pages(directory, totals.finals, totals.pages)
        checks = lasting_checks(totals.counters, totals.finals, pages)
        wrong = [check.said for check in checks if not check.holds]
        if not wrong:
            break
    if not wrong:
        return totals, pages, ()
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return totals, pages, (f"the books do not balance ({wrong[0]}{more})",)


def count_now(directory: Path, store_url: SecretStr | None = None) -> Count:
    """Return what has been counted so far; raises as `summarise` does."""
    summary = summarise(directory, store_url)
    return Count(time.monotonic(), summary.accounts.fates, summary.latencies)


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
