"""
What can be changed while the processes run: sample rate, kill switch, end of the run.

The state is a small file in the data directory, mapped into memory: every process
reads it with no system call, sees a change at once, and finds it again at its start.
"""

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from shadow_router.errors import RunClosed, StoreAway
from shadow_router.files.drafts import create_whole
from shadow_router.files.mapping import map_shared
from shadow_router.run.changes import ChangeLog, Value

_NAME = "switches"
_MAGIC = 0x5348_4457_5357_0001
# The layout of the file. A change of order is a new magic number.
_MARK, _CHANGES, _FROM_SETTING, _RATE, _KILLED, _CLOSED = range(6)
_LAYOUT = struct.Struct("=6q")
_SIZE = _LAYOUT.size
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

    A file that cannot be read is set aside. What it said is not known, so the new one
    begins with the kill switch on: nothing is copied until somebody says so.

    Parameters
    ----------
    directory : Path
        The data directory.
    sample_rate : float
        Of the settings.
    is_patient : bool
        Whether to go on without a file, copying nothing, until `keep` has made it.

    Raises
    ------
    StoreAway
        If the file cannot be made or written to, and nobody is patient.
    """

    def __init__(
        self, directory: Path, sample_rate: float, is_patient: bool = False
    ) -> None:
        self._log = ChangeLog(directory)
        self._path = directory / _NAME
        self._rate = round(sample_rate * _RATE_UNIT)
        self._is_kept = False
        self._map = mmap.mmap(-1, _SIZE)
        self._map[:] = _LAYOUT.pack(_MAGIC, -1, self._rate, self._rate, 1, 0)
        self._page = memoryview(self._map).cast("q")
        try:
            self._open()
        except OSError as error:
            fault = f"{self._path}: {error.strerror}"
            if not is_patient:
                raise StoreAway(fault) from None
            logger.error("{}; nothing is copied without the switches", fault)

    def keep(self) -> None:
        """Take the file into use if it could not be before; asked every second."""
        if not self._is_kept:
            try:
                self._open()
                self.adopt(self._rate / _RATE_UNIT)
            except OSError:
                return
            logger.warning("the switches are in use again: {}", self.state)

    def _open(self) -> None:
        # One process at a time: two must not make two files.
        with self._log.turn():
            _make(self._path, self._rate)
            with self._path.open("r+b") as file:
                shared = map_shared(file.fileno(), _SIZE)
        self._page.release()
        self._map.close()
        self._map, self._page = shared, memoryview(shared).cast("q")
        self._is_kept = True

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
    """Return where the switches of a data directory are, None if nothing tells."""
    page = _read(directory / _NAME)
    if page is None:
        return None
    return SwitchState(
        page[_RATE] / _RATE_UNIT, bool(page[_KILLED]), bool(page[_CLOSED])
    )


def _read(path: Path) -> tuple[int, ...] | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) != _SIZE:
        return None
    page = _LAYOUT.unpack(content)
    return page if page[_MARK] == _MAGIC else None


def _shown(slot: int, value: int) -> Value:
    return value / _RATE_UNIT if slot == _RATE else bool(value)


def _make(path: Path, rate: int) -> None:
    """Make the file if it is not there, or says nothing that this version knows."""
    if _read(path) is not None:
        return
    is_there = path.exists()
    if is_there:
        aside = path.with_name(f"{_NAME}.unreadable")
        os.replace(path, aside)
        logger.error(
            "the switches could not be read and are in {} now; nothing is copied "
            "until `shadow-router control on`",
            aside,
        )
    create_whole(path, _LAYOUT.pack(_MAGIC, 0, rate, rate, int(is_there), 0))
