"""Copying less while live itself is slower than it was; pure."""

#: Answers of live that make a window, at least and at most.
_FEWEST, _MOST = 50, 2000
#: Windows in a row that must be slow before anything is left out.
_STRIKES = 3
#: A p99 that is slower by less is never called slow.
_SLACK_MS = 50.0
#: How fast the usual p99 follows a calm window, and a slow one: after some minutes
#: of being slow, slow is the usual, and copies go again.
_CALM, _SLOW = 0.2, 0.02
_LEAST_SHARE = 1 / 64


class Shedder:
    """
    Says what share of the copies may go.

    The share is halved with every slow window and doubled with every calm one.

    Parameters
    ----------
    ratio : float
        A window is slow when its p99 is over the usual one by this factor; with 0
        none ever is.
    """

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._window: list[float] = []
        self._strikes = 0
        self.usual_ms: float | None = None
        self.share = 1.0

    def note(self, live_ms: float) -> None:
        """Take the duration of one answer of live."""
        if len(self._window) < _MOST and self._ratio:
            self._window.append(live_ms)

    def close_window(self) -> float:
        """Judge what was noted since the last time; return the share."""
        if not self._ratio or len(self._window) < _FEWEST:
            return self.share
        p99_ms = sorted(self._window)[len(self._window) * 99 // 100]
        self._window.clear()
        if self.usual_ms is None:
            self.usual_ms = p99_ms
        limit_ms = max(self._ratio * self.usual_ms, self.usual_ms + _SLACK_MS)
        is_slow = p99_ms > limit_ms
        self._strikes = self._strikes + 1 if is_slow else 0
        self.usual_ms += (p99_ms - self.usual_ms) * (_SLOW if is_slow else _CALM)
        if self._strikes >= _STRIKES:
            self.share = max(self.share / 2, _LEAST_SHARE)
        elif not is_slow:
            self.share = min(self.share * 2, 1.0)
        return self.share
