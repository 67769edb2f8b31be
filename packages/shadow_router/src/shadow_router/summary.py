"""Everything a report says, gathered once: page, JSON and metrics agree by this."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr, ValidationError

from shadow_router.accounts import Accounts, add_up, read_pages
from shadow_router.errors import StoreUnreadable
from shadow_router.evidence import Evidence
from shadow_router.records import COMPARED, SKIPPED
from shadow_router.rules import DEFAULT, Rules
from shadow_router.store import (
    Discrepancy,
    LatencySums,
    read_discrepancies,
    read_totals,
)
from shadow_router.verdict import Verdict, judge

_DISCREPANCIES = 50


@dataclass(frozen=True, slots=True)
class Summary:
    """The state of a run at one moment."""

    at: float
    accounts: Accounts
    verdict: Verdict
    #: Version and digest by role, more than one if they changed.
    versions: Mapping[str, tuple[tuple[str, str], ...]]
    rules: Rules
    evidence: Evidence
    confusion: Mapping[tuple[str, str], int]
    latencies: tuple[LatencySums, ...]
    discrepancies: tuple[Discrepancy, ...]

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


def summarise(directory: Path, store_url: SecretStr | None = None) -> Summary:
    """
    Return the summary of a run.

    Parameters
    ----------
    directory : Path
        The data directory of this machine.
    store_url : SecretStr or None
        Of the store that other machines share, if any: their numbers are in it.

    Raises
    ------
    DataDirectoryMissing
        If no collector has ever run on the directory.
    """
    totals = read_totals(directory, store_url)
    pages = read_pages(directory, totals.finals, totals.pages)
    accounts = add_up(totals.counters, totals.finals, pages)
    known = _known_rules(totals.rules)
    rules = known[-1] if known else DEFAULT
    evidence = Evidence(
        fates=accounts.fates,
        tallies=totals.tallies,
        live_versions=tuple(map(shown_version, totals.versions["live"])),
        shadow_versions=tuple(map(shown_version, totals.versions["shadow"])),
        rules=tuple(one.sha256 for one in known),
        inputs_per_s=totals.inputs_per_s,
    )
    return Summary(
        at=time.time(),
        accounts=accounts,
        verdict=judge(evidence, rules),
        versions=totals.versions,
        rules=rules,
        evidence=evidence,
        confusion=totals.confusion,
        latencies=totals.latencies,
        discrepancies=tuple(read_discrepancies(directory, _DISCREPANCIES, store_url)),
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
