"""
Promote and roll back: changing which version is live, by changing one pin.

A pin moves only on a fresh PASS for exactly the versions and artefacts it names.
"""

import hashlib
import json
import os
import pwd
import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from shadow_router.errors import (
    DataDirectoryMissing,
    PromotionFailed,
    PromotionRefused,
)
from shadow_router.findings.bundle import as_json
from shadow_router.findings.findings import Setting, gather
from shadow_router.findings.summary import Summary
from shadow_router.promotion.changelog import with_entry
from shadow_router.promotion.pins import Pin, digest_of, read_pin
from shadow_router.promotion.replacing import replace_all, turn
from shadow_router.verdict.parts import State

#: In the data directory: one JSON line each time the pin of live changes.
LOG_NAME = "promotions.jsonl"
#: How far the clocks of two machines that share a store may be apart.
_SKEW_S = 60.0


@dataclass(frozen=True, slots=True)
class Places:
    """Where pins, wheels, changelog and the books of the run are."""

    #: Holds `live.txt`, `shadow.txt` and, after a promotion, `previous.txt`.
    requirements: Path
    changelog: Path
    index: Path
    data_dir: Path
    store_url: SecretStr | None = None

    @property
    def live(self) -> Path:
        """Return the requirements of the version that answers clients."""
        return self.requirements / "live.txt"

    @property
    def shadow(self) -> Path:
        """Return the requirements of the version on trial."""
        return self.requirements / "shadow.txt"

    @property
    def previous(self) -> Path:
        """Return the requirements that were live's before the last promotion."""
        return self.requirements / "previous.txt"


@dataclass(frozen=True, slots=True)
class Move:
    """A change of live's pin that was made; `notes` say what could not be held."""

    before: Pin
    after: Pin
    notes: tuple[str, ...] = ()


def promote(places: Places, fresh_s: float) -> Move:
    """
    Make the pin of shadow that of live.

    Parameters
    ----------
    fresh_s : float
        How old the newest comparison may be.

    Raises
    ------
    PromotionRefused
        If there is no fresh PASS for these two pins; one line that says why.
    PinUnusable
        If a pin or its wheel is not as it must be.
    PromotionFailed
        If a file cannot be written; then none has changed.
    """
    with _turn(places):
        live_text, live = read_pin(places.live)
        _, shadow = read_pin(places.shadow)
        if live.line == shadow.line:
            raise PromotionRefused(f"nothing to promote: live runs {live} already")
        found = gather(places.data_dir, Setting(store_url=places.store_url))
        summary = found.summary
        _check_verdict(summary, fresh_s)
        told = {"live": live, "shadow": shadow}
        for role, pin in told.items():
            _check_version(summary, role, pin)
        notes = tuple(_held(summary, role, pin, places) for role, pin in told.items())
        bundle = json.dumps(as_json(found), sort_keys=True).encode()
        digest = hashlib.sha256(bundle).hexdigest()
        entry = (
            f"Serves {shadow} instead of {live.version}; verdict PASS on "
            f"{summary.unique_inputs:,} unique inputs, {_today()}."
        )
        changed = {
            places.data_dir / f"verdict-{digest}.json": bundle,
            **_entries(places, "promote", live, shadow, entry, digest),
            # Before live's: whatever happens, the way back is known.
            places.previous: live_text.encode(),
            places.live: live_text.replace(live.line, shadow.line).encode(),
        }
        _write(changed)
        # As open as its neighbour; all else that is new is for its owner alone.
        shutil.copymode(places.live, places.previous)
    return Move(live, shadow, tuple(filter(None, notes)))


def roll_back(places: Places) -> Move:
    """
    Make the pin that was live's before the last promotion live's again, once.

    Raises
    ------
    PromotionRefused
        If there is none, or it is live's already.
    PinUnusable, PromotionFailed
        As `promote` does.
    """
    with _turn(places):
        if not places.previous.exists():
            reason = f"nothing to roll back to: {places.previous} is not there"
            raise PromotionRefused(f"{reason}; `promote` makes it, `rollback` uses it")
        _, previous = read_pin(places.previous)
        live_text, live = read_pin(places.live)
        if live.line == previous.line:
            raise PromotionRefused(f"nothing to roll back: live runs {live} already")
        entry = f"Serves {previous} again instead of {live.version}, {_today()}."
        changed = {
            **_entries(places, "rollback", live, previous, entry, None),
            places.live: live_text.replace(live.line, previous.line).encode(),
            places.previous: None,
        }
        _write(changed)
    return Move(live, previous)


def _check_verdict(summary: Summary, fresh_s: float) -> None:
    verdict = summary.verdict
    if verdict.state is not State.PASS:
        raise PromotionRefused(
            f"the verdict is {verdict.state.value}, not PASS: {verdict.reason}"
        )
    age_s = summary.at - (summary.newest_at or 0.0)
    if age_s < -_SKEW_S:
        raise PromotionRefused(
            f"the newest comparison is {-age_s / 60:,.0f} min ahead of the clock: one "
            "of them is wrong"
        )
    # This way around, so that no age is fresh enough for NaN.
    if not age_s <= fresh_s:
        raise PromotionRefused(
            f"the verdict is stale: its newest comparison is {age_s / 60:,.0f} min "
            f"old, at most {fresh_s / 60:,.0f} are allowed (--max-age-minutes)"
        )


def _check_version(summary: Summary, role: str, pin: Pin) -> None:
    seen = {version for version, _ in summary.versions[role] if version}
    if not seen:
        raise PromotionRefused(
            f"{role} told no version in this run (paths.version of the rules)"
        )
    if seen != {pin.version}:
        named = ", ".join(sorted(seen))
        raise PromotionRefused(
            f"{role} of this run was {named}, its pin is {pin}: compare these first"
        )


def _held(summary: Summary, role: str, pin: Pin, places: Places) -> str:
    """Hold a pin to the artefact that ran; return what could not be held."""
    told = {digest for _, digest in summary.versions[role] if digest}
    if not told:
        return (
            f"{role} told no digest in this run: only its version was held to the pin"
        )
    pinned = digest_of(pin, places.index)
    if told != {pinned}:
        raise PromotionRefused(
            f"{role} ran another artefact than its pin names: digest "
            f"{min(told)[:12]}, the wheel of {pin} has {pinned[:12]}"
        )
    return ""


def _entries(
    places: Places, event: str, before: Pin, after: Pin, entry: str, bundle: str | None
) -> dict[Path, bytes]:
    """Return audit log and changelog, each with one more entry."""
    log = places.data_dir / LOG_NAME
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": _user(),
        "event": event,
        "from": before.line,
        "to": after.line,
        "verdict_sha256": bundle,
    }
    try:
        old = log.read_bytes() if log.exists() else b""
        changelog = places.changelog.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise PromotionFailed(f"{places.changelog}: {reason} (--changelog)") from None
    if old and not old.endswith(b"\n"):
        old += b"\n"
    return {
        log: old + json.dumps(line).encode() + b"\n",
        places.changelog: with_entry(changelog, entry).encode(),
    }


def _write(contents: Mapping[Path, bytes | None]) -> None:
    try:
        replace_all(contents)
    except OSError as error:
        where = error.filename2 or error.filename
        raise PromotionFailed(
            f"nothing was changed: {where}: {error.strerror}"
        ) from None


def _turn(places: Places) -> AbstractContextManager[None]:
    """Let one change of pins go after the other, whichever books it is founded on."""
    if not places.data_dir.is_dir():
        reason = f"{places.data_dir} is not there (SHADOW_ROUTER_DATA_DIR)"
        raise DataDirectoryMissing(reason)
    folders = (places.data_dir, places.requirements, places.changelog.parent)
    return turn(*(folder for folder in folders if folder.is_dir()))


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def _user() -> str:
    # Not from the environment, which says what its owner likes.
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
