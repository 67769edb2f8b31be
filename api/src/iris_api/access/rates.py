"""
The rate limit: how many requests a client may send in a window of time.

Imported only where a limit is set: the library behind it takes a while to load.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from time import monotonic

import limits
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from iris_api.errors import TooManyRequests

# Of clients seen within one window; about 20 MB.
MAX_CLIENTS = 65_536


class RateLimiter:
    """
    Let each client send so many requests in a window.

    A client's window begins with its first request, so around the end of one it may
    send up to twice the limit; in return the wait that a refusal names is exact.

    Parameters
    ----------
    limit : str
        Such as ``100/second``; checked by the settings.
    clock : callable
        Returns seconds.
    """

    def __init__(self, limit: str, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limits.parse(limit)
        self._windows = Windows(clock)
        self._strategy = FixedWindowRateLimiter(self._windows)
        self._clock = clock

    def check(self, client: str) -> None:
        """
        Count a request.

        Raises
        ------
        TooManyRequests
            If it is one too many; says in how many whole seconds the next may come.
        """
        if not self._strategy.hit(self._limit, client):
            end = self._strategy.get_window_stats(self._limit, client).reset_time
            raise TooManyRequests(max(1, ceil(end - self._clock())))


class Windows(Storage):
    """
    Counts of requests, bounded in number, for one thread.

    The library's own storage in memory grows with every address, and a thread of it
    walks through all of them up to a hundred times a second. Here windows are of one
    length, so that they end in the order in which they were begun: those that are
    over are dropped from the front, and if there are still too many, the oldest is.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        # A plain dict takes ever longer to find its first key as others go.
        self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many windows are held."""
        return len(self._windows)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Return what the storage raises; nothing of its own."""
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Return a client's count after adding to it; begin a window if need be."""
        now = self._clock()
        count, end = self._windows.get(key, (0, 0.0))
        if end <= now:
            self._windows.pop(key, None)
            self._make_room(now)
            count, end = 0, now + expiry
        self._windows[key] = count + amount, end
        return count + amount

    def _make_room(self, now: float) -> None:
        while self._windows:
            oldest = next(iter(self._windows))
            if self._windows[oldest][1] > now and len(self) < MAX_CLIENTS:
                return
            del self._windows[oldest]

    def get(self, key: str) -> int:
        """Return a client's count in the window that is open, 0 if none is."""
        count, end = self._windows.get(key, (0, 0.0))
        return count if end > self._clock() else 0

    def get_expiry(self, key: str) -> float:
        """Return when a client's window ends."""
        return self._windows.get(key, (0, self._clock()))[1]

    def check(self) -> bool:
        """Return that the storage works."""
        return True

    def reset(self) -> int:
        """Forget all windows; return how many there were."""
        count = len(self)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget a client's window."""
        self._windows.pop(key, None)
