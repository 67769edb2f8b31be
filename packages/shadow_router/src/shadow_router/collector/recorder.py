"""The log of exchanges of a running collector: compressed, rotating, capped."""

import asyncio
import contextlib
import gzip
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loguru import logger

from shadow_router.clocks import BoundedClock
from shadow_router.collector.recording import (
    MOST_REQUESTS,
    Header,
    Recording,
    encode_exchange,
    encode_header,
    header_of,
    write_recording,
)
from shadow_router.errors import RecordingUnreadable, SettingsInvalid
from shadow_router.rules.rules import Rules
from shadow_router.run.directory import fault_of, warn_if_open
from shadow_router.values import Exchange

_EVERY_S = 0.5
#: Exchanges that may wait for the disk; beyond it they are left out of the log.
_BACKLOG = 10_000
_PATTERN, _NAME = "traffic-*.jsonl.gz", "traffic-%Y%m%dT%H%M%S.%fZ.jsonl.gz"
_LONGEST_PIECE_S = 3600
_PIECES = 16
_DAY_S = 86_400
#: Of the days that are kept.
_LONGEST_STOP = 1 / 30


class Log:
    """The files of a recording directory, written by one thread at a time."""

    def __init__(self, directory: Path, header: Header, cap: int, days: float) -> None:
        self._directory = directory
        self._header = header
        self._cap = cap
        self._days = days
        newest = max((p.stat().st_mtime for p in self._pieces()), default=time.time())
        # A clock that jumps makes no piece old; of what a stop took, a little counts.
        self._now = BoundedClock(newest, days * _DAY_S * _LONGEST_STOP)
        self._file: gzip.GzipFile | None = None
        self._path: Path
        self._began = 0.0

    def write(self, exchanges: list[Exchange]) -> None:
        """Append exchanges; what is written survives a crash of the process."""
        if self._file is None:
            self._file = self._begin()
        self._file.writelines(map(encode_exchange, exchanges))
        self._file.flush()
        is_long = self._path.stat().st_size > self._cap / _PIECES
        if is_long or time.monotonic() - self._began > _LONGEST_PIECE_S:
            self.close()
        self._remove_old()

    def close(self) -> None:
        """End the present file; on a full disk it ends where it was."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    def _begin(self) -> gzip.GzipFile:
        self._began = time.monotonic()
        self._path = self._directory / self._next_name()
        made = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.close(made)
        try:
            file = gzip.open(self._path, "wb", compresslevel=6)
            file.write(encode_header(self._header))
            file.flush()
        except OSError:
            # A full disk takes names when it takes nothing else.
            self._path.unlink()
            raise
        return file

    def _pieces(self) -> list[Path]:
        """Return all pieces, newest first."""
        return sorted(self._directory.glob(_PATTERN), reverse=True)

    def _next_name(self) -> str:
        """Return a name after all others, also where the clock was set back."""
        begun = datetime.now(UTC)
        for newest in self._pieces()[:1]:
            with contextlib.suppress(ValueError):
                last = datetime.strptime(newest.name, _NAME).replace(tzinfo=UTC)
                begun = max(begun, last + timedelta(microseconds=1))
        return begun.strftime(_NAME)

    def _remove_old(self) -> None:
        """Keep to the caps; the file being written counts, and stays."""
        pieces = self._pieces()
        oldest = self._now() - self._days * _DAY_S
        size = 0
        for piece in pieces:
            seen = piece.stat()
            size += seen.st_size
            is_open = self._file is not None and piece == self._path
            if not is_open and (size > self._cap or seen.st_mtime < oldest):
                piece.unlink()


class Recorder:
    """Takes exchanges, redacted, and writes them from a thread; waits for nothing."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: list[Exchange] = []
        self._lost = 0

    def add(self, exchange: Exchange) -> None:
        """Take an exchange, or leave it out while the disk is behind."""
        if len(self._waiting) < _BACKLOG:
            self._waiting.append(exchange)
        else:
            self._lost += 1

    async def run(self) -> None:
        """Write regularly until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits; a disk that refuses costs these exchanges and no more."""
        taken, self._waiting = self._waiting, []
        lost, self._lost = self._lost, 0
        try:
            if taken:
                await asyncio.to_thread(self._log.write, taken)
        except OSError as error:
            logger.error("the recording failed: {}", type(error).__name__)
            self._log.close()
            lost += len(taken)
        if lost:
            logger.warning("{} exchanges are not in the recording", lost)

    async def close(self) -> None:
        """Write what waits and end the file."""
        await self.flush()
        await asyncio.to_thread(self._log.close)


def open_recorder(directory: Path, rules: Rules, cap: int, days: float) -> Recorder:
    """
    Return a recorder to a directory, made if need be, readable by its owner alone.

    Raises
    ------
    SettingsInvalid, StoreAway
        If it cannot be made, or the rules keep no inputs to replay.
    """
    if rules.keep_inputs != "values":
        raise SettingsInvalid(
            f"SHADOW_ROUTER_RECORD_DIR: the rules keep inputs as {rules.keep_inputs}; "
            "there would be nothing to replay"
        )
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        what = f"SHADOW_ROUTER_RECORD_DIR: {directory}"
        raise fault_of(error, what) from None
    warn_if_open(directory)
    return Recorder(Log(directory, header_of(rules), cap, days))


def export(directory: Path, output: Path, requests: int) -> int:
    """
    Write the newest exchanges of a recording directory to one file, oldest first.

    Returns
    -------
    int
        How many there are.

    Raises
    ------
    RecordingUnreadable
        If nothing was recorded there.
    """
    requests = min(requests, MOST_REQUESTS)
    lines: list[bytes] = []
    redacted: set[str] = set()
    for path in sorted(directory.glob(_PATTERN)):
        try:
            piece = Recording(path)
        except RecordingUnreadable as error:
            logger.warning("left out: {}", error)
            continue
        redacted.update(piece.header.redacted)
        found = list(piece.exchanges())
        lines += (encode_exchange(x) for x in found if x is not None)
        if damaged := found.count(None):
            logger.warning("left out: {:,} damaged lines of {}", damaged, path)
        del lines[:-requests]
    if not lines:
        raise RecordingUnreadable(directory, "nothing has been recorded here")
    header = Header(tuple(sorted(redacted)), len(lines))
    write_recording(output, header, lines)
    return len(lines)
