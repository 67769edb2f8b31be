"""
The router's counters, in a file that outlives the process.

Each router process owns one small file of 64-bit integers, mapped into memory:
counting is a store to memory, needs no system call, and survives `kill -9`. A lock
held on the file for the life of the process tells others whether it still runs.

A disk that has no room for the file keeps no client from being served: the counters
are then in memory alone, the file is empty, and whoever reads it says so.
"""

import fcntl
import mmap
import os
import secrets
import struct
import time
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

from loguru import logger

from shadow_router.errors import ShadowRouterError
from shadow_router.files.drafts import sync_folder
from shadow_router.files.mapping import map_shared, sync
from shadow_router.run.directory import prepare_directory
from shadow_router.values import Fate

SUFFIX = ".books"
_MAGIC = 0x5348_4457_0002

#: Fates that are decided in the router process.
ROUTER_FATES = (
    Fate.SKIPPED_UNSAMPLED,
    Fate.SKIPPED_METHOD,
    Fate.SKIPPED_TOO_LARGE,
    Fate.SKIPPED_LIVE_FAILED,
    Fate.SKIPPED_REFUSED,
    Fate.DROPPED_QUEUE,
    Fate.DROPPED_BYTES,
    Fate.DROPPED_SHED,
    Fate.DROPPED_SHUTDOWN,
    Fate.INTERNAL_ERROR,
)

# The layout of the file. A change of order is a new magic number.
_MARK, _SEQUENCE, _STATE, _RECEIVED, _IN_FLIGHT = range(5)
_QUEUE_ITEMS, _QUEUE_BYTES, _HANDED, _DROPPED_WRITER, _SHED_PPM = range(5, 10)
_FIRST_FATE = 10
_SLOTS = _FIRST_FATE + len(ROUTER_FATES)
_SIZE = _SLOTS * 8
_SLOT_OF = {fate: _FIRST_FATE + i for i, fate in enumerate(ROUTER_FATES)}


class RunState(IntEnum):
    """How far a router process has come."""

    RUNNING = 0
    #: Stopped, and the collector confirmed every exchange handed to it.
    SETTLED = 1
    #: Stopped in order, but the collector did not confirm in time.
    UNCONFIRMED = 2


@dataclass(frozen=True, slots=True)
class Page:
    """One consistent reading of a router's counters."""

    router_id: str
    is_alive: bool
    state: RunState
    received: int
    in_flight: int
    queue_items: int
    queue_bytes: int
    handed: int
    dropped_writer: int
    #: Parts in a million of the copies that shedding leaves out now.
    shed_ppm: int
    fates: dict[Fate, int]
    #: False where the file holds no counters: what the router does is then unknown.
    is_on_record: bool = True

    @property
    def decided(self) -> int:
        """Return how many requests found their fate in the router process."""
        return sum(self.fates.values())


class RouterBooks:
    """
    The counters of this router process; single-threaded.

    Every change is bracketed by two increments of the sequence, so that a reader
    in another process can tell a torn reading from a whole one.
    """

    def __init__(self, directory: Path) -> None:
        self.router_id = f"{int(time.time())}-{secrets.token_hex(6)}"
        self._path = directory / f"{self.router_id}{SUFFIX}"
        self._file: BinaryIO | None = None
        self._fault = ""
        #: Whether the counters are in a file that others can read.
        self.is_on_record = False
        self._map = mmap.mmap(-1, _SIZE)
        self._page = memoryview(self._map).cast("q")
        self._page[_MARK] = _MAGIC
        self.keep()

    def keep(self) -> None:
        """
        See to it that the counters are in their file, if the disk has room for it.

        Asked again every second: a disk may be full at the start and not later, and a
        folder may be removed.
        """
        if self.is_on_record and self._is_in_place():
            return
        try:
            if self._file is None or not self._is_in_place():
                self._begin_file()
            assert self._file is not None
            self._move_to(map_shared(self._file.fileno(), _SIZE))
        except (OSError, ShadowRouterError) as error:
            self._tell(str(getattr(error, "strerror", None) or error))
        else:
            if self._fault:
                logger.warning("the books are on record again, and whole")
            self._fault, self.is_on_record = "", True

    def sync(self) -> None:
        """Wait until the counters are on the disk; a thread may."""
        if self._file is not None:
            try:
                sync(self._file.fileno())
            except (OSError, ValueError) as error:
                logger.error("the books are not synced: {}", type(error).__name__)

    def _is_in_place(self) -> bool:
        """Return whether the file that we have open is still the one of our name."""
        if self._file is None:
            return False
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def _begin_file(self) -> None:
        """Make the file, empty; an empty one tells that we run and keep no books."""
        prepare_directory(self._path.parent)
        draft = self._path.with_suffix(".draft")
        file = draft.open("w+b")
        # Locked before it has its name: nobody may take it for a dead one's.
        fcntl.flock(file, fcntl.LOCK_EX)
        draft.rename(self._path)
        if self._file is not None:
            self._file.close()
        self._file = file
        sync_folder(self._path.parent)

    def _move_to(self, shared: mmap.mmap) -> None:
        # The mark last: before it, the file is none.
        shared[8:], shared[:8] = self._map[8:], self._map[:8]
        self._page.release()
        self._map.close()
        self._map, self._page = shared, memoryview(shared).cast("q")

    def _tell(self, fault: str) -> None:
        self.is_on_record = False
        if fault != self._fault:
            self._fault = fault
            logger.error(
                "the books cannot be kept in {}: {}; clients are served, on no record, "
                "and copies wait",
                self._path.parent,
                fault,
            )

    def count_received(self) -> None:
        """Count a request that has arrived."""
        page = self._page
        page[_SEQUENCE] += 1
        page[_RECEIVED] += 1
        page[_IN_FLIGHT] += 1
        page[_SEQUENCE] += 1

    def count_refused(self) -> None:
        """Count a request that was refused before it was whole."""
        page = self._page
        page[_SEQUENCE] += 1
        page[_RECEIVED] += 1
        page[_SLOT_OF[Fate.SKIPPED_REFUSED]] += 1
        page[_SEQUENCE] += 1

    def note_shed(self, share: float) -> None:
        """Note what share of the copies is left out from now on."""
        self._page[_SHED_PPM] = round(share * 1e6)

    def count_fate(self, fate: Fate) -> None:
        """Count the fate of a request that was in flight."""
        page = self._page
        page[_SEQUENCE] += 1
        page[_SLOT_OF[fate]] += 1
        page[_IN_FLIGHT] -= 1
        page[_SEQUENCE] += 1

    def count_queued(self, size: int) -> None:
        """Move a request from in flight to the queue."""
        page = self._page
        page[_SEQUENCE] += 1
        page[_QUEUE_ITEMS] += 1
        page[_QUEUE_BYTES] += size
        page[_IN_FLIGHT] -= 1
        page[_SEQUENCE] += 1

    def count_handed(self, size: int) -> None:
        """Move a request from the queue to the collector's hands."""
        page = self._page
        page[_SEQUENCE] += 1
        page[_HANDED] += 1
        page[_QUEUE_ITEMS] -= 1
        page[_QUEUE_BYTES] -= size
        page[_SEQUENCE] += 1

    def count_abandoned(self, size: int, fate: Fate) -> None:
        """Count the fate of a request that was still queued when the router stopped."""
        page = self._page
        page[_SEQUENCE] += 1
        page[_SLOT_OF[fate]] += 1
        page[_QUEUE_ITEMS] -= 1
        page[_QUEUE_BYTES] -= size
        page[_SEQUENCE] += 1

    @property
    def handed(self) -> int:
        """Return how many exchanges were given to a collector so far."""
        return self._page[_HANDED]

    def close(self, state: RunState) -> None:
        """Write how the process ended and let go of the lock."""
        self._page[_STATE] = state
        if not self.is_on_record:
            self._leave_no_record(self._page[_RECEIVED])
        self._page.release()
        self._map.close()
        if self._file is not None:
            self._file.close()

    def _leave_no_record(self, received: int) -> None:
        if received:
            logger.error("{:,} requests were served on no record", received)
        elif self._is_in_place():
            # Nothing happened of which a record would be missing.
            self._path.unlink(missing_ok=True)


class WriterTally:
    """
    The collector's one counter in a router's file: comparisons not stored.

    It lives here because the store is what has just failed, and because this page
    is already on the disk when the disk is full.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            if _unpack(os.pread(file.fileno(), _SIZE, 0)) is None:
                raise FileNotFoundError(f"{path} holds no books")
            self._map = map_shared(file.fileno(), _SIZE)
        self._page = memoryview(self._map).cast("q")

    @property
    def value(self) -> int:
        """Return the count."""
        return self._page[_DROPPED_WRITER]

    def add(self, count: int) -> None:
        """Count comparisons that could not be stored."""
        self._page[_DROPPED_WRITER] += count

    def close(self) -> None:
        """Let go of the file."""
        self._page.release()
        self._map.close()


def find_books(directory: Path) -> list[Path]:
    """Return the files of all routers that are not yet finalised, oldest first."""
    return sorted(directory.glob(f"*{SUFFIX}"))


def read_page(path: Path) -> Page | None:
    """
    Return a consistent reading, or None if the file has been finalised away.

    A file without counters, empty, cut short or of another version, is a page too: one
    that is not on record.
    """
    try:
        with path.open("rb") as file:
            is_alive = not _lock_is_free(file.fileno())
            slots = _read_slots(file.fileno(), is_alive)
    except FileNotFoundError:
        return None
    router_id = path.name.removesuffix(SUFFIX)
    if slots is None:
        return _blank(router_id, is_alive)
    return Page(
        router_id=router_id,
        is_alive=is_alive,
        state=RunState(slots[_STATE]),
        received=slots[_RECEIVED],
        in_flight=slots[_IN_FLIGHT],
        queue_items=slots[_QUEUE_ITEMS],
        queue_bytes=slots[_QUEUE_BYTES],
        handed=slots[_HANDED],
        dropped_writer=slots[_DROPPED_WRITER],
        shed_ppm=slots[_SHED_PPM],
        fates={fate: slots[slot] for fate, slot in _SLOT_OF.items()},
    )


def _blank(router_id: str, is_alive: bool) -> Page:
    fates = dict.fromkeys(ROUTER_FATES, 0)
    state, nothing = RunState.UNCONFIRMED, (0,) * 7
    return Page(router_id, is_alive, state, *nothing, fates, is_on_record=False)


def _lock_is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _read_slots(descriptor: int, is_alive: bool) -> tuple[int, ...] | None:
    slots: tuple[int, ...] | None = None
    # A router killed between the two increments leaves the sequence odd for ever;
    # one that was stopped by a signal does so for a while. Both are read as they are.
    for _ in range(200):
        slots = _unpack(os.pread(descriptor, _SIZE, 0))
        if slots is None or not is_alive:
            return slots
        if slots[_SEQUENCE] % 2 == 0:
            again = _unpack(os.pread(descriptor, _SIZE, 0))
            if again is not None and again[_SEQUENCE] == slots[_SEQUENCE]:
                return slots
        time.sleep(0.0005)
    return slots


def _unpack(data: bytes) -> tuple[int, ...] | None:
    if len(data) != _SIZE:
        return None
    slots = struct.unpack(f"={_SLOTS}q", data)
    return slots if slots[_MARK] == _MAGIC else None
