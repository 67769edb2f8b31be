"""The run's log of changes: who changed what, and when; one JSON line each."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from loguru import logger

_NAME = "changes.jsonl"
#: What a reader takes from the end of the file; some 500 changes.
_TAIL_BYTES = 64 * 1024

Value = float | bool


@dataclass(frozen=True, slots=True)
class Change:
    """One change, made while the processes ran or by a start with other settings."""

    at: str
    who: str
    what: str
    before: Value
    after: Value


class ChangeLog:
    """The file that changes are added to; its lock makes them follow one another."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _NAME

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for changes of other processes to be made."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            # As below: a change without a turn is better than none.
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def add(self, who: str, what: str, before: Value, after: Value) -> None:
        """Note a change that was made."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        change = Change(at, who, what, before, after)
        logger.info("{} changed {} from {} to {}", who, what, before, after)
        try:
            with self._path.open("a", encoding="ascii") as file:
                # A line that a full disk has cut must not swallow this one.
                lead = "" if _ends_whole(self._path) else "\n"
                file.write(lead + json.dumps(asdict(change)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            # A full disk must not keep anybody from switching the copies off.
            logger.error("the log of changes: {}", error.strerror)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def read_changes(directory: Path) -> list[Change]:
    """Return the latest changes, oldest first."""
    try:
        with (directory / _NAME).open("rb") as file:
            file.seek(0, os.SEEK_END)
            start = max(0, file.tell() - _TAIL_BYTES)
            file.seek(start)
            lines = file.read().splitlines()
    except OSError:
        return []
    # The first line may be cut by the seek, the last by a full disk.
    return [change for line in lines if (change := _parse(line)) is not None]


def _parse(line: bytes) -> Change | None:
    try:
        change = Change(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (change.at, change.who, change.what)
    values = (change.before, change.after)
    are_texts = all(isinstance(text, str) for text in texts)
    are_values = all(isinstance(value, (bool, int, float)) for value in values)
    return change if are_texts and are_values else None
