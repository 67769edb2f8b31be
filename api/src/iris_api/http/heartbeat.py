"""
End a process whose event loop hangs, so that something can start another.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from types import TracebackType

from loguru import logger

# EX_SOFTWARE of sysexits.h.
EXIT_CODE = 70
STRIKES = 10
_LOG_S = 1.0


class Heartbeat:
    """
    A thread that waits for the loop to beat.

    It counts its own short sleeps without a beat, not seconds: a process that was
    suspended, or whose machine slept, has missed one of them and not all.

    Parameters
    ----------
    patience_s : int
        Seconds without a beat after which the process ends.
    """

    def __init__(self, patience_s: int) -> None:
        self._patience_s = patience_s
        self._beats = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name="heartbeat", daemon=True
        )

    def beat(self) -> None:
        """Say that the loop turns."""
        self._beats += 1

    def __enter__(self) -> None:
        """Watch the thread that calls this."""
        self._watched = threading.get_ident()
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Watch no longer."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        seen = strikes = 0
        while not self._stopped.wait(self._patience_s / STRIKES):
            strikes = strikes + 1 if self._beats == seen else 0
            seen = self._beats
            if strikes == STRIKES:
                self._end_process()

    def _end_process(self) -> None:
        # From a thread of its own: what hangs may hold the log, or nobody reads it.
        frame = sys._current_frames()[self._watched]
        stack = "".join(traceback.format_stack(frame))
        words = "the event loop has hung for {} s; the process ends. It is at\n{}"
        log = threading.Thread(
            target=logger.critical, args=(words, self._patience_s, stack), daemon=True
        )
        log.start()
        log.join(_LOG_S)
        os._exit(EXIT_CODE)
