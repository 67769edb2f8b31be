"""
What the process has to say, on standard error: one event a line, whoever wrote it.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from loguru import Record


def set_up_talk(whole: bool) -> None:
    """
    Send what the process has to say to standard error.

    Parameters
    ----------
    whole : bool
        Whether with the texts of exceptions, which may quote an input.
    """
    shown = format_talk if whole else format_reserved_talk
    logger.remove()
    logger.add(sys.stderr, level="INFO", format=shown, catch=False)
    logging.basicConfig(handlers=[_ToLoguru(whole)], level=logging.WARNING, force=True)


class _ToLoguru(logging.Handler):
    """Hand what uvicorn and asyncio log to loguru."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self._whole = whole

    def emit(self, record: logging.LogRecord) -> None:
        """Log one message of the standard library's logging."""
        text = record.getMessage()
        if not self._whole:
            # What follows in asyncio's are exceptions, with their texts.
            text = text.partition("\n")[0]
        logger.opt(exception=record.exc_info).log(record.levelname, "{}", text)


def format_talk(record: Record) -> str:
    """Return a loguru format that shows one event as one line, whatever is in it."""
    text = record["message"]
    if record["exception"] is not None:
        kind, value, trace = record["exception"]
        text += "\n" + "".join(traceback.format_exception(kind, value, trace))
    return _format_line(record, text)


def format_reserved_talk(record: Record) -> str:
    """Return the same without the texts of exceptions, which may quote an input."""
    text = record["message"]
    if record["exception"] is not None:
        kind, _, trace = record["exception"]
        name = "an exception" if kind is None else kind.__name__
        text += f"\n{''.join(traceback.format_tb(trace))}{name}"
    return _format_line(record, text)


def _format_line(record: Record, text: str) -> str:
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    record["extra"]["line"] = line
    return "{time:YYYY-MM-DDTHH:mm:ss.SSSZ} {level} {extra[line]}\n"
