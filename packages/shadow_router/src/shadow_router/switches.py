"""
What can be changed while the processes run: sample rate, kill switch, end of the run.

The state is a small file in the data directory, mapped into memory: every process
reads it with no system call, sees a change at once, and finds it again at its start.
"""

import contextlib
import mmap
import os
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path

from shadow_router.changes import ChangeLog, Value
from shadow_router.errors import RunClosed, SwitchesUnreadable

_NAME = "switches"
_MAGIC = 0x5348_4457_5357_0001
# The layout of the file. A change of order is a new magic number.
_MARK, _CHANGES, _FROM_SETTING, _RATE, _KILLED, _CLOSED = range(6)
_SIZE = 6 * 8
#: Rates are kept as whole numbers: one store to memory writes one.
_RATE_UNIT = 10**9


@dataclass(frozen=True, slots=True)
class SwitchState:
    """Where the switches are."""

    sample_rate: float
    is_killed: bool
    is_closed: bool

    @property
    def is_copying(self) -> bool:
        """Return whether any request is copied."""
        return not (self.is_killed or self.is_closed)


class Switches:
    """
    The switches of a data directory, made with the sample rate of the settings.

    Raises
    ------
    SwitchesUnreadable
        If the file is not one of this version.
    """

    def __init__(self, directory: Path, sample_rate: float) -> None:
        self._log = ChangeLog(directory)
        path = directory / _NAME
        if not path.exists():
            _create(path, round(sample_rate * _RATE_UNIT))
        with path.open("r+b") as file:
            if os.fstat(file.fileno()).st_size != _SIZE:
                raise SwitchesUnreadable(f"{path} is not a file of this version")
            self._map = mmap.mmap(file.fileno(), _SIZE)
        self._page = memoryview(self._map).cast("q")
        if self._page[_MARK] != _MAGIC:
            raise SwitchesUnreadable(f"{path} is not a file of this version")

    @property
    def changes(self) -> int:
        """Return a number that is another one after every change."""
        return self._page[_CHANGES]

    @property
    def is_killed(self) -> bool:
        """Return whether the shadow may not be called at all."""
        return bool(self._page[_KILLED])

    @property
    def state(self) -> SwitchState:
        """Return where the switches are now."""
        page = self._page
        rate = page[_RATE] / _RATE_UNIT
        return SwitchState(rate, bool(page[_KILLED]), bool(page[_CLOSED]))

    def adopt(self, sample_rate: float) -> None:
        """
        Take the rate of the settings if it is another than at the last start.

        A rate that was changed since then stays: a restart changes nothing by itself.
        """
        with self._log.turn():
            rate = round(sample_rate * _RATE_UNIT)
            if rate != self._page[_FROM_SETTING]:
                self._page[_FROM_SETTING] = rate
                self._set(_RATE, rate, "settings", "sample_rate")

    def set_rate(self, sample_rate: float, who: str) -> None:
        """Copy this share of requests from now on; RunClosed after the end."""
        with self._log.turn():
            self._check_open()
            rate = round(sample_rate * _RATE_UNIT)
            self._set(_RATE, rate, who, "sample_rate")

    def kill(self, is_killed: bool, who: str) -> None:
        """Stop calling the shadow, or go on; RunClosed after the end."""
        with self._log.turn():
            self._check_open()
            self._set(_KILLED, int(is_killed), who, "killed")

    def close_run(self, who: str) -> None:
        """End the run for good; what is already copied is still compared."""
        with self._log.turn():
            self._set(_CLOSED, 1, who, "closed")

    def close(self) -> None:
        """Let go of the file."""
        self._page.release()
        self._map.close()

    def _check_open(self) -> None:
        if self._page[_CLOSED]:
            raise RunClosed(
                "this run is closed; a new one begins with a new data directory "
                "(SHADOW_ROUTER_DATA_DIR)"
            )

    def _set(self, slot: int, value: int, who: str, what: str) -> None:
        before = self._page[slot]
        if value == before:
            return
        self._page[slot] = value
        self._page[_CHANGES] += 1
        self._log.add(who, what, _shown(slot, before), _shown(slot, value))


def read_state(directory: Path) -> SwitchState | None:
    """Return where the switches of a data directory are, None if it has none."""
    path = directory / _NAME
    if not path.exists():
        return None
    content = path.read_bytes()
    if len(content) != _SIZE:
        raise SwitchesUnreadable(f"{path} is not a file of this version")
    page = struct.unpack("=6q", content)
    return SwitchState(
        page[_RATE] / _RATE_UNIT, bool(page[_KILLED]), bool(page[_CLOSED])
    )


def _shown(slot: int, value: int) -> Value:
    return value / _RATE_UNIT if slot == _RATE else bool(value)


def _create(path: Path, rate: int) -> None:
    content = (_MAGIC, 0, rate, rate, 0, 0)
    draft = path.with_suffix(f".{secrets.token_hex(4)}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(struct.pack("=6q", *content))
    # Whole from the moment it has its name; another process may have been first.
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
