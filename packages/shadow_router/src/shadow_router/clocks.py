"""Time that no set of a clock moves, in seconds since 1970."""

import time
from collections.abc import Callable

Clock = Callable[[], float]


class BoundedClock:
    """
    The clock of the machine, never further on than time has gone by.

    A clock that jumps weeks ahead, and back a moment later, makes nothing old. One that
    is set back is followed.

    Parameters
    ----------
    known_s : float
        A moment that has surely been.
    slack_s : float
        How much may have gone by since then unseen.
    """

    def __init__(
        self,
        known_s: float,
        slack_s: float,
        wall: Clock = time.time,
        steady: Clock = time.monotonic,
    ) -> None:
        self._wall, self._steady = wall, steady
        self._now, self._at = known_s + slack_s, steady()

    def __call__(self) -> float:
        """Return the time."""
        at = self._steady()
        self._now = min(self._wall(), self._now + at - self._at)
        self._at = at
        return self._now


def since_1970(steady_s: float) -> float:
    """Return when a reading of the monotonic clock was, by the clock as it is now."""
    return steady_s + time.time() - time.monotonic()
