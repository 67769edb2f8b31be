"""
Keep every prediction on record: one JSON line a request, written before the answer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from loguru import logger

from iris_api.errors import RecordNotWritten, RecordsUnopened

# Below INFO, so that the sink for people never sees a record.
LEVEL = 15


class Records:
    """
    A destination of records: loguru's, synchronous and loud.

    Not enqueued: a record handed to a queue dies with the process, after its
    answer has left. Errors are not caught: a full disk must stop predictions.

    Parameters
    ----------
    descriptor : int
        Open for writing; appended to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._torn = False
        self._sink = logger.add(
            self._append,
            level=LEVEL,
            format="{message}",
            filter=lambda record: record["extra"].get("records") is self,
            enqueue=False,
            catch=False,
        )
        # raw: the line is complete, loguru must not format it.
        self._log = logger.bind(records=self).opt(raw=True).log

    def write(self, lines: Sequence[bytes]) -> None:
        """
        Write records together; when this returns, the kernel has them.

        Parameters
        ----------
        lines : sequence of bytes
            Each a JSON object in one line, without a line end; serialised, so that
            no text of a client can start a line of its own.

        Raises
        ------
        RecordNotWritten
            If the destination does not take all of them.
        """
        try:
            self._log(LEVEL, b"\n".join(lines).decode())
        except OSError as error:
            raise RecordNotWritten(error.strerror or "unknown reason") from None

    def close(self) -> None:
        """Take no more records."""
        logger.remove(self._sink)
        if self._descriptor != sys.__stdout__.fileno():  # type: ignore[union-attr]
            os.close(self._descriptor)

    def _append(self, message: str) -> None:
        # The file descriptor itself: nothing stays in a buffer of this process.
        lines = f"{message}\n".encode()
        rest = b"\n" + lines if self._torn else lines
        while rest:
            written = os.write(self._descriptor, rest)
            rest = rest[written:]
            # A line cut short by a full disk must not swallow the next one.
            self._torn = bool(rest)


def open_records(path: Path | None) -> Records:
    """
    Return records that append to a file, or go to standard output.

    Raises
    ------
    RecordsUnopened
        If the file cannot be opened for appending.
    """
    if path is None:
        return Records(sys.__stdout__.fileno())  # type: ignore[union-attr]
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return Records(os.open(path, flags, 0o600))
    except OSError as error:
        reason = error.strerror or "cannot be opened"
        raise RecordsUnopened(f"IRIS_API_RECORDS, {path}: {reason}") from None
