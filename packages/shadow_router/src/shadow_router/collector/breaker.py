"""Leaving a shadow alone that only fails, but for a probe now and then."""

import time
from collections.abc import Callable

from loguru import logger

from shadow_router.values import FAILED, Fate

#: How often an open breaker lets one copy through.
PROBE_S = 1.0


class Breaker:
    """
    Opens after so many failures in a row; the first answer closes it.

    Parameters
    ----------
    failures : int
        How many; 0 for a breaker that never opens.
    clock : callable
        Returns seconds that only grow.
    url : str
        Of the shadow.
    """

    def __init__(
        self,
        failures: int,
        clock: Callable[[], float] = time.monotonic,
        url: str = "the shadow's address",
    ) -> None:
        self._url = url
        self._limit = failures
        self._clock = clock
        self._failures = 0
        self._next_probe = 0.0
        self.is_open = False

    def admits(self) -> bool:
        """Return whether a copy may be sent now."""
        if not self.is_open:
            return True
        now = self._clock()
        if now < self._next_probe:
            return False
        self._next_probe = now + PROBE_S
        return True

    def watch(self, fate: Fate) -> None:
        """Take the fate of a copy that was sent, and say so when something changes."""
        if self.note(fate in FAILED):
            absent = fate is Fate.SHADOW_REFUSED
            now = (
                f"nobody answers at {self._url}" if absent else "the shadow only fails"
            )
            said = f"{now}; it gets a probe a second"
            logger.warning(said if self.is_open else "the shadow answers again")

    def note(self, has_failed: bool) -> bool:
        """Take what became of a copy; return whether the breaker has changed."""
        was_open = self.is_open
        self._failures = self._failures + 1 if has_failed else 0
        self.is_open = 0 < self._limit <= self._failures
        if self.is_open and not was_open:
            self._next_probe = self._clock() + PROBE_S
        return self.is_open != was_open
