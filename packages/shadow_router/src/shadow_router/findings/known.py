"""
Known discrepancies: what somebody has looked at and explained, until a day.

To know a discrepancy changes no gate and no verdict; it tells readers of a report which
ones are left to look at. What is not to count at all belongs into the rules, as an
`ignore` or a threshold, where it is part of the verdict's digest.
"""

import fcntl
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shadow_router.errors import KnownInvalid
from shadow_router.files.drafts import replace_whole
from shadow_router.values import DISCREPANCIES, Fate

FILE_NAME = "known.jsonl"
_LOCK_NAME = "known.lock"
#: A report looks through all of them each time.
_MOST_BYTES, _MOST_LINES = 1024 * 1024, 10_000

Text = Annotated[str, Field(max_length=1000)]


class Known(BaseModel):
    """One kind of discrepancy; an empty `live`, `shadow` or `detail` fits every one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fate: Fate
    #: Labels as the report shows them.
    live: Text = ""
    shadow: Text = ""
    #: The reason that the comparison gave, such as `row 0: class a is missing`.
    detail: Text = ""
    reason: Annotated[str, Field(min_length=1, max_length=128)]
    #: The last day on which it is known (UTC).
    expires: date


@dataclass(frozen=True, slots=True)
class Seen:
    """What of a discrepancy tells whether it is known."""

    fate: Fate
    live: str
    shadow: str
    detail: str


@dataclass(frozen=True, slots=True)
class KnownList:
    """The known discrepancies, expired ones too, and what of their file is unread."""

    entries: tuple[Known, ...] = ()
    #: In one line, empty for nothing; it keeps nobody from a report.
    fault: str = ""


def load_known(directory: Path) -> KnownList:
    """Return the known discrepancies of a data directory, as far as they are read."""
    path = directory / FILE_NAME
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return KnownList()
    except OSError as error:
        return KnownList(fault=f"{path}: {error.strerror}")
    lines = content.splitlines()
    faults = list[str]()
    if len(content) > _MOST_BYTES or len(lines) > _MOST_LINES:
        most = f"{_MOST_LINES:,} lines of {_MOST_BYTES:,} bytes together"
        faults.append(f"{path}: no more than {most} are read")
        # The last line may have been cut.
        lines = lines[: min(len(lines) - 1, _MOST_LINES)]
    entries, bad = list[Known](), list[str]()
    for at, line in enumerate(lines, start=1):
        try:
            entries += [_parse(line, f"{path}:{at}")] if line.strip() else []
        except KnownInvalid as error:
            bad.append(str(error))
    if bad:
        faults.append(f"{len(bad):,} of {len(lines):,} lines are not read: {bad[0]}")
    return KnownList(tuple(entries), "; ".join(faults))


def _parse(line: str | bytes, where: str) -> Known:
    try:
        return Known.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"])) or "(line)"
        raise KnownInvalid(f"{where}: {name}: {first['msg']}") from None


def check_known(known: Known, today: date) -> None:
    """
    Check that a discrepancy may be noted as known.

    Raises
    ------
    KnownInvalid
        If its kind is none that is kept, or its last day is over.
    """
    if known.fate not in DISCREPANCIES:
        names = ", ".join(DISCREPANCIES)
        raise KnownInvalid(f"fate: {known.fate} is none of {names}")
    if today > known.expires:
        raise KnownInvalid(f"expires: {known.expires} is over")


def add_known(directory: Path, known: Known, today: date) -> None:
    """
    Note a discrepancy as known, from now on and for those seen before.

    Raises
    ------
    KnownInvalid
        As `check_known` says, or if it cannot be written.
    """
    check_known(known, today)
    line = json.dumps(known.model_dump(mode="json"), ensure_ascii=False) + "\n"
    path = directory / FILE_NAME
    try:
        # Two at once must not each forget the other's.
        with (directory / _LOCK_NAME).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = path.read_bytes() if path.exists() else b""
            if before and not before.endswith(b"\n"):
                before += b"\n"
            content = before + line.encode()
            is_full = before.count(b"\n") >= _MOST_LINES
            if is_full or len(content) > _MOST_BYTES:
                most = f"{_MOST_LINES:,} lines or {_MOST_BYTES:,} bytes"
                raise KnownInvalid(f"{path}: is full, it holds {most}")
            replace_whole(path, content)
    except OSError as error:
        raise KnownInvalid(f"{path}: {error.strerror}") from None


def note_known(directory: Path, fields: Mapping[str, str]) -> None:
    """
    Note what a person typed, or a form sent, as known; raises as `add_known` does.

    Parameters
    ----------
    directory : Path
        The data directory.
    fields : mapping
        Fields of `Known` as text.
    """
    if not directory.is_dir():
        raise KnownInvalid(f"{directory} is not there (SHADOW_ROUTER_DATA_DIR)")
    known = _parse(json.dumps(dict(fields)), "known")
    add_known(directory, known, datetime.now(UTC).date())


def known_by(seen: Seen, known: Iterable[Known], today: date) -> Known | None:
    """Return the first entry in force that a discrepancy fits, None without one."""
    for entry in known:
        if entry.fate is not seen.fate or today > entry.expires:
            continue
        pairs = ((entry.live, seen.live), (entry.shadow, seen.shadow))
        if all(not wanted or wanted == found for wanted, found in pairs) and (
            not entry.detail or entry.detail == seen.detail
        ):
            return entry
    return None


def expired_on(known: Sequence[Known], today: date) -> tuple[Known, ...]:
    """Return the entries whose last day is over."""
    return tuple(entry for entry in known if today > entry.expires)
