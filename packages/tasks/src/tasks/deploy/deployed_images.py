"""Which image each role of an environment runs, and whether pins and tree agree."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shadow_router.errors import ShadowRouterError
from shadow_router.promotion.changelog import with_entry
from shadow_router.promotion.pins import read_pin
from shadow_router.promotion.replacing import replace_all

NAME = "images.auto.tfvars.json"
REQUIREMENTS = Path("api/requirements")
CHANGELOG = Path("api/CHANGELOG.md")
PINS = {role: REQUIREMENTS / f"{role}.txt" for role in ("live", "shadow")}
PREVIOUS = REQUIREMENTS / "previous.txt"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

Entry = dict[str, str]


class DeployRefused(Exception):
    """Raised when something must not be done; one line says why and what to do."""


@dataclass(frozen=True)
class Images:
    """What an environment's file says: digest and pin by role."""

    path: Path
    current: dict[str, Entry]

    def entry(self, role: str) -> Entry:
        """
        Return digest and pin of a role.

        Raises
        ------
        DeployRefused
            If there is none.
        """
        if role not in self.current:
            raise DeployRefused(
                f"{self.path} has no {role}; `use {role} DIGEST` adds it"
            )
        return self.current[role]

    def having(self, role: str, entry: Entry, **more: Entry | None) -> bytes:
        """
        Return the file with another entry of a role, and more; None removes one.

        Raises
        ------
        DeployRefused
            If the digest is none.
        """
        if not _DIGEST.fullmatch(entry["digest"]):
            reason = (
                f"{entry['digest']!r} is no digest: sha256: and 64 hexadecimal digits"
            )
            raise DeployRefused(
                f"{reason}; tags such as latest may change their meaning"
            )
        changed = {**self.current, role: entry, **more}
        kept = {name: one for name, one in changed.items() if one is not None}
        return (json.dumps({"images": kept}, indent=2, sort_keys=True) + "\n").encode()


def read_images(folder: Path) -> Images:
    """
    Return what an environment runs; nothing when no image was ever used there.

    Raises
    ------
    DeployRefused
        If the file is not what `having` writes.
    """
    path = folder / NAME
    if not path.exists():
        return Images(path, {})
    try:
        images = json.loads(path.read_bytes())["images"]
        current = {
            str(role): {"digest": str(one["digest"]), "pin": str(one["pin"])}
            for role, one in images.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DeployRefused(f"{path} is not as `use` writes it; restore it") from None
    return Images(path, current)


def roles_pin(role: str) -> str:
    """Return the line that pins a role's model; nothing for the router."""
    return pin_line(PINS[role]) if role in PINS else ""


def pin_line(path: Path) -> str:
    """
    Return the pin in a requirements file.

    Raises
    ------
    DeployRefused
        If there is none.
    """
    try:
        return read_pin(path)[1].line
    except ShadowRouterError as error:
        raise DeployRefused(str(error)) from None


def check_tree(folder: Path) -> None:
    """
    Raise if pins, changelog or the environment differ from what is committed.

    Raises
    ------
    DeployRefused
        If they do, or there is no repository.
    """
    paths = [str(REQUIREMENTS), str(CHANGELOG), str(folder)]
    command = ["git", "status", "--porcelain", "--", *paths]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise DeployRefused("this is no git repository: nobody could say what runs")
    if changed := [line[3:] for line in done.stdout.splitlines()]:
        named = ", ".join(changed)
        raise DeployRefused(
            f"the working tree has changes in {named}: commit or undo them"
        )


def check_pins(before: str, after: str) -> Callable[[str], dict[Path, bytes | None]]:
    """
    Return what changes the repository's pin of live from one to the other.

    Another environment may have moved it already; then nothing has to change.

    Raises
    ------
    DeployRefused
        If live's pin is neither of them, or the new one is pinned nowhere.
    """
    live = pin_line(PINS["live"])
    pinned = {pin_line(path) for path in (*PINS.values(), PREVIOUS) if path.exists()}
    if live == after:
        return lambda why: {}
    if live != before:
        raise DeployRefused(
            f"{PINS['live']} pins {short(live)}, live runs {short(before)}: "
            "`use` the image of the pin, or restore the pin"
        )
    if after not in pinned:
        raise DeployRefused(
            f"{short(after)} is pinned neither in {PINS['shadow']} nor in {PREVIOUS}: "
            "the images were built from other pins"
        )
    return lambda why: moved(before, after, why)


def moved(before: str, after: str, why: str) -> dict[Path, bytes | None]:
    """Return the files of the repository with live's pin moved."""
    text = PINS["live"].read_bytes()
    entry = f"Serves {short(after)} instead of {short(before)} ({why}), {today()}."
    changelog = with_entry(CHANGELOG.read_text(encoding="utf-8"), entry)
    return {
        CHANGELOG: changelog.encode(),
        PREVIOUS: None if why == "rollback" else text,
        PINS["live"]: text.replace(before.encode(), after.encode()),
    }


def short(pin: str) -> str:
    """Return a pin without its hash."""
    return pin.split()[0] if pin else "nothing"


def today() -> str:
    """Return the day, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def write_all(contents: Mapping[Path, bytes | None]) -> None:
    """
    Write all files or none; None removes one.

    Raises
    ------
    DeployRefused
        If one cannot be written.
    """
    present = {p: c for p, c in contents.items() if c is not None or p.exists()}
    try:
        replace_all(present)
    except OSError as error:
        where = error.filename2 or error.filename
        reason = f"nothing was changed: {where}: {error.strerror}"
        raise DeployRefused(reason) from None
