"""
How often the answers were right, over time, with the interval that the count allows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

CONFIDENCE = 0.95
PERIODS = ("hour", "day", "week", "month")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """
    Answers of one version in one period whose truth is known.

    Attributes
    ----------
    begin : str
        Of the period, in UTC; weeks begin on Monday.
    low, high : float
        Bounds of the share of right answers: 95 %, Wilson (1927).
    """

    begin: str
    version: str
    labelled: int
    right: int
    accuracy: float
    low: float
    high: float


class AccuracyTally:
    """
    Count answers by period and version.

    Parameters
    ----------
    period : str
        One of :data:`PERIODS`.
    """

    def __init__(self, period: str) -> None:
        self._period = period
        self._labelled: Counter[tuple[str, str]] = Counter()
        self._right: Counter[tuple[str, str]] = Counter()

    def add(
        self,
        time: datetime,
        version: str,
        answered: Sequence[str],
        truths: Sequence[str],
    ) -> None:
        """Count answers to rows whose truth is known."""
        if truths:
            place = (begin_of(time, self._period), version)
            self._labelled[place] += len(truths)
            self._right[place] += sum(map(str.__eq__, answered, truths))

    def result(self) -> list[Accuracy]:
        """Return all periods that have labels, in order."""
        from scipy import stats  # two seconds that only labels need

        found = []
        for (begin, version), labelled in sorted(self._labelled.items()):
            right = self._right[begin, version]
            test = stats.binomtest(right, labelled)
            bounds = test.proportion_ci(CONFIDENCE, method="wilson")
            low, high = float(bounds.low), float(bounds.high)
            share = right / labelled
            found.append(Accuracy(begin, version, labelled, right, share, low, high))
        return found


def begin_of(time: datetime, period: str) -> str:
    """Return when the period of a time began, as text that sorts."""
    if period == "hour":
        return time.strftime("%Y-%m-%dT%H:00Z")
    if period == "week":
        time -= timedelta(days=time.weekday())
    elif period == "month":
        time = time.replace(day=1)
    return time.strftime("%Y-%m-%d")
