"""
Confidence sequences: bounds that hold at every look together; pure.

Each comes from a process that is 1 at the start, never negative, and that the truth
cannot make grow on average. By Ville's inequality it then ever exceeds 1 / alpha with
probability at most alpha; a bound excludes exactly the values at which it has. Counts
may be fractions, so that evidence can be scaled to say how much of it is missing.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import exp, lgamma, log, log1p

from shadow_router.values import Bounds

#: Bets of the mixture for means, each of the same weight: half as bold each time.
_BETS = tuple(0.95 * 0.5**k for k in range(12))
_STEPS = 100


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _check(count: float, trials: float, alpha: float) -> None:
    if not 0 <= count <= trials:
        raise ValueError("the count must be between 0 and the trials")
    if not 0 < alpha < 1:
        raise ValueError("alpha must be between 0 and 1")


def _edge(is_inside: Callable[[float], bool], inside: float, outside: float) -> float:
    # Callers pass a set that is an interval, so one crossing lies in between. The
    # outer end itself is never tried.
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        if middle in (inside, outside):
            break
        if is_inside(middle):
            inside = middle
        else:
            outside = middle
    return outside


def _log_evidence(count: float, trials: float, share: float) -> float:
    """Return log E against a true share: a Beta(1/2, 1/2) mixture over its rivals."""
    rest = trials - count
    mixture = _log_beta(0.5 + count, 0.5 + rest) - _log_beta(0.5, 0.5)
    return mixture - count * log(share) - rest * log1p(-share)


@lru_cache(maxsize=16384)
def share_bounds(count: float, trials: float, alpha: float) -> Bounds:
    """
    Return a confidence sequence for the share of trials in which something happens.

    Parameters
    ----------
    count, trials : float
        Trials in which it happened, and all trials; 0 <= count <= trials.
    alpha : float
        Error rate over all looks together, between 0 and 1.

    Returns
    -------
    Bounds
        Lower and upper bound, each between 0.0 and 1.0; (0.0, 1.0) without trials.

    Raises
    ------
    ValueError
        If count is negative or exceeds trials, or alpha is not between 0 and 1.

    Notes
    -----
    Beta(1/2, 1/2)-binomial mixture; Robbins (1970), Howard et al. (2021).
    """
    _check(count, trials, alpha)
    if trials == 0:
        return Bounds(0.0, 1.0)
    limit = log(1 / alpha)

    def is_inside(share: float) -> bool:
        return _log_evidence(count, trials, share) < limit

    seen = count / trials
    lower = 0.0 if count == 0 else _edge(is_inside, inside=seen, outside=0.0)
    upper = 1.0 if count == trials else _edge(is_inside, inside=seen, outside=1.0)
    return Bounds(lower, upper)


def difference_bounds(more: float, fewer: float, trials: float, alpha: float) -> Bounds:
    """
    Return a confidence sequence for the difference of two shares of the same trials.

    Parameters
    ----------
    more, fewer : float
        Trials that add one to the difference, and that take one away; no trial does
        both, and those that do neither need no counting.
    trials, alpha : float
        As in `share_bounds`.

    Returns
    -------
    Bounds
        Between -1.0 and 1.0.

    Notes
    -----
    Each discordant share has a sequence of its own at alpha / 2. With few discordant
    trials, which is when the question is close, little is lost by that.
    """
    up = share_bounds(more, trials, alpha / 2)
    down = share_bounds(fewer, trials, alpha / 2)
    return Bounds(up.lower - down.upper, up.upper - down.lower)


def mean_bounds(trials: float, total: float, squares: float, alpha: float) -> Bounds:
    """
    Return a confidence sequence for the mean of values between 0 and 1.

    Parameters
    ----------
    trials, total, squares : float
        How many values, their sum, and the sum of their squares.
    alpha : float
        Error rate over all looks together, between 0 and 1.

    Returns
    -------
    Bounds
        Each between 0.0 and 1.0; (0.0, 1.0) without trials.

    Raises
    ------
    ValueError
        If the sums are not those of values between 0 and 1.

    Notes
    -----
    Empirical Bernstein (Howard et al. 2021, theorem 4, from Fan et al. 2015) with 0 as
    the predicted value, which is near the truth for distances that are to be small,
    and with a mixture over twelve fixed bets in place of one.
    """
    _check(total, trials, alpha)
    if not 0 <= squares <= total:
        raise ValueError("the sum of squares must be between 0 and the sum")
    if trials == 0:
        return Bounds(0.0, 1.0)
    limit = log(2 * len(_BETS) / alpha)

    def is_inside(mean: float) -> bool:
        excess = abs(trials * mean - total)
        logs = [bet * excess + (log1p(-bet) + bet) * squares for bet in _BETS]
        highest = max(logs)
        return highest + log(sum(exp(value - highest) for value in logs)) < limit

    seen = total / trials
    lower = _edge(is_inside, inside=seen, outside=0.0)
    return Bounds(lower, _edge(is_inside, inside=seen, outside=1.0))


@lru_cache(maxsize=1024)
def count_limits(trials: float, share: float, alpha: float) -> tuple[float, float]:
    """
    Return below and above which counts a share of the trials can be excluded.

    Returns
    -------
    tuple of float
        Counts at or below the first are too few, at or above the second too many;
        below 0 and above trials when no count would be.
    """
    limit = log(1 / alpha)

    def is_inside(count: float) -> bool:
        return _log_evidence(count, trials, share) < limit

    expected = share * trials
    has_low = trials > 0 and not is_inside(0.0)
    has_high = trials > 0 and not is_inside(trials)
    low = _edge(is_inside, inside=expected, outside=0.0) if has_low else -1.0
    high = _edge(is_inside, expected, trials) if has_high else trials + 1.0
    return low, high


def quantile_buckets(
    counts: Sequence[float], share: float, alpha: float
) -> tuple[int, int]:
    """
    Return the first and the last bucket in which a quantile may lie.

    Parameters
    ----------
    counts : sequence of float
        Values by bucket of a fixed histogram, in ascending order.
    share : float
        The quantile: 0.99 for the value that 99 % do not exceed.
    alpha : float
        Error rate over all looks together, between 0 and 1.

    Notes
    -----
    Howard and Ramdas (2022): as many values as not lie at or below the true quantile
    with probability `share` each, wherever it is, so one sequence for that share
    covers it. Right for any distribution, ties among them.
    """
    low, high = count_limits(sum(counts), share, alpha)
    first, last = 0, len(counts) - 1
    below = 0.0
    for bucket, count in enumerate(counts):
        below += count
        if below <= low:
            first = bucket + 1
        if below >= high:
            last = bucket
            break
    return first, last
