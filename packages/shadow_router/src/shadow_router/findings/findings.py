"""The summary with all that a person looks at: what was asked for, and diagnosis."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from pydantic import SecretStr

from shadow_router.findings.diagnosis import Diagnosis, diagnose
from shadow_router.findings.known import load_known
from shadow_router.findings.summary import Summary, summarise
from shadow_router.run.changes import Change, read_changes
from shadow_router.run.switches import SwitchState, read_state
from shadow_router.settings import Settings, shown_url
from shadow_router.store import Details, Filter, Moment, read_details
from shadow_router.values import Fate
from shadow_router.verdict.evidence import UNNAMED
from shadow_router.watch.drift import Drift
from shadow_router.watch.hour import Span

#: In the data directory; written by the blame task.
BLAME_NAME = "blame.json"
_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What the query of the page asks for."""

    wanted: Filter = Filter()
    #: Of the discrepancies, from 1.
    page: int = 1
    #: Features by name; empty: those that tell most.
    across: str = ""
    up: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the store does not know: addresses, switches, and an outside diagnosis."""

    live_url: str = ""
    shadow_url: str = ""
    #: Whether nobody listens at the shadow's address; only the collector looks.
    is_shadow_away: bool = False
    controls: SwitchState | None = None
    changes: tuple[Change, ...] = ()
    store_url: SecretStr | None = None
    #: Where the page itself is, for commands that people copy from it.
    private_url: str = ""
    #: Where control keys lie, and why they cannot be used, if they cannot.
    key_place: str = ""
    key_fault: str = ""
    #: Key of the order in which the answers to be labelled stand.
    order: bytes = b""
    #: What the blame task found, as it wrote it.
    blame: Mapping[str, Any] | None = None
    #: What the collector has counted in the last hour.
    hour: tuple[Span, ...] = ()
    #: What live's metrics said within it, None where they say nothing of drift.
    drift: Drift | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a page, a file and the JSON show."""

    summary: Summary
    details: Details
    diagnosis: Diagnosis
    #: The steps of the evidence, and where it is now.
    history: tuple[Moment, ...]
    asked: Asked = Asked()
    per_page: int = 10
    setting: Setting = field(default_factory=Setting)


def parse_query(query: str) -> Asked:
    """Return what a query asks for; what makes no sense in it is left out."""
    try:
        fields = parse_qs(query, max_num_fields=16)
    except ValueError:
        fields = {}
    texts = {name: values[-1][:256] for name, values in fields.items()}
    number = texts.get("page", "")
    page = int(number) if number.isascii() and number.isdigit() else 1
    fate = texts.get("fate", "")
    wanted = Filter(
        fate=fate if fate in set(Fate) else "",
        live=texts.get("live", ""),
        shadow=texts.get("shadow", ""),
    )
    across, up = texts.get("across", ""), texts.get("up", "")
    return Asked(wanted, min(max(page, 1), _MOST_PAGES), across, up)


def gather(
    directory: Path,
    setting: Setting = Setting(),
    asked: Asked = Asked(),
    per_page: int = 10,
) -> Findings:
    """
    Return the findings of a data directory.

    Raises
    ------
    DataDirectoryMissing
        If no collector has ever run on the directory.
    """
    url = shown_url(setting.shadow_url) if setting.shadow_url else UNNAMED
    known = load_known(directory)
    summary = replace(
        summarise(directory, setting.store_url, url, setting.is_shadow_away),
        known=known.entries,
        known_fault=known.fault,
    )
    skip = (asked.page - 1) * per_page
    details = read_details(directory, asked.wanted, skip, per_page, setting.store_url)
    tallies = summary.evidence.tallies
    now = Moment(
        at_ns=int(summary.at * 1e9),
        inputs=summary.unique_inputs,
        flips=summary.unique_flips,
        measured=int(tallies.measured),
        confident_flips=int(tallies.confident_flips),
        distance=tallies.distance,
        squared_distance=tallies.squared_distance,
    )
    past = tuple(one for one in details.history if one.inputs < now.inputs)
    found = diagnose(
        details.flips, details.agreeing, summary.unique_flips, summary.unique_inputs
    )
    return Findings(summary, details, found, (*past, now), asked, per_page, setting)


def setting_of(settings: Settings, blame: Path) -> Setting:
    """Return what a report says beyond what the store holds."""
    return Setting(
        live_url=settings.live_url,
        shadow_url=settings.shadow_url,
        private_url=f"http://{settings.private_host}:{settings.private_port}",
        store_url=settings.store_url,
        controls=read_state(settings.data_dir),
        changes=tuple(read_changes(settings.data_dir)),
        blame=read_blame(blame),
    )


def read_blame(path: Path) -> dict[str, Any] | None:
    """Return what the blame task wrote, None if it did not or it cannot be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        steps = [
            (one["name"], one["differs"], one["said"]) for one in document["steps"]
        ]
        inputs, first = document["inputs"], document["first"]
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return None
    texts = (text for name, _, said in steps for text in (name, said))
    are_texts = all(isinstance(text, str) for text in texts)
    is_known = isinstance(inputs, int) and isinstance(first, (str, type(None)))
    return dict(document) if are_texts and is_known else None
