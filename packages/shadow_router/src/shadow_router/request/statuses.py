"""What the status of live's answer makes of a request: one table; pure."""

from enum import Enum


class Standing(Enum):
    """Of what a request can be evidence."""

    #: The model answered: the only evidence there is.
    ANSWERED = "answered"
    #: The client's own fault: compared, and counted apart.
    AT_FAULT = "at fault"
    #: About who asks, how often or when, or about headers that the shadow does not
    #: get: there is nothing to compare with.
    UNANSWERED = "unanswered"


#: Refusals of access and of the moment, and answers to what a copy does not carry:
#: preconditions, ranges, the framing of the body, the name of the host.
_NOT_ABOUT_THE_INPUT = frozenset(
    (206, 401, 402, 403, 407, 408, 409, 411, 412, 413, 416, 417)
    + (421, 423, 424, 425, 426, 428, 429, 431, 451, 499)
)


def _standing(status: int) -> Standing:
    if status in _NOT_ABOUT_THE_INPUT:
        return Standing.UNANSWERED
    if 200 <= status < 300:
        return Standing.ANSWERED
    # A redirection may well lead to a login.
    return Standing.AT_FAULT if 400 <= status < 500 else Standing.UNANSWERED


_STANDINGS = tuple(map(_standing, range(600)))


def standing_of(status: int) -> Standing:
    """Return the standing of a request that live answered with a status."""
    return _STANDINGS[status] if 0 <= status < 600 else Standing.UNANSWERED
