"""
How many connections the limit of descriptors leaves room for.

Without a descriptor a connection cannot even be refused. So fewer are served than
there are descriptors, and each further one is answered that there are too many.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

# Connections beyond those served that may be open at once, to be refused.
MOST_SPARE = 64
# Of few descriptors, the share that is kept for refusing.
_SPARE_SHARE = 8
UNLIMITED = -1
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
# At the start a process has a few dozen.
_LOOKED_AT = 512
# macOS says that there is no limit, and takes no more than OPEN_MAX.
_MACOS_MOST = 10_240


@dataclass(frozen=True, slots=True)
class Room:
    """
    What there are descriptors for.

    Attributes
    ----------
    connections : int
        Connections that are served; 0 where the limit leaves none.
    spare : int
        Further ones that may be open at once, to be refused.
    limit : int
        Descriptors that this process may have; `UNLIMITED` for any number.
    """

    connections: int
    spare: int
    limit: int


def make_room(wanted: int, *, each: int = 1, reserved: int) -> Room:
    """
    Return for how many connections there are descriptors, asking for more first.

    Parameters
    ----------
    wanted : int
        Connections to serve at most.
    each : int
        Descriptors that one of them may take.
    reserved : int
        Descriptors for what is opened later and is no connection of a client.
    """
    taken = count_open() + reserved
    limit = _raise_limit(taken + wanted * each + MOST_SPARE)
    left = limit - taken
    if limit == UNLIMITED or left >= wanted * each + MOST_SPARE:
        return Room(wanted, MOST_SPARE, limit)
    spare = max(1, min(MOST_SPARE, left // _SPARE_SHARE))
    return Room(max(0, min(wanted, (left - spare) // each)), spare, limit)


def count_open() -> int:
    """Return how many descriptors this process has open now."""
    # Asked of each, which every system can answer; the lowest free one is taken first.
    return sum(map(_is_open, range(_LOOKED_AT)))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def is_one_free() -> bool:
    """Return whether this process may open one more."""
    try:
        os.close(os.open("/", os.O_RDONLY))
    except OSError as error:
        return error.errno not in OUT_OF_DESCRIPTORS
    return True


def _raise_limit(wanted: int) -> int:
    # Here, because Windows has no such module: there, one line says what is wrong.
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return UNLIMITED
    if soft >= wanted:
        return soft
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    for asked in (most, min(most, _MACOS_MOST)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (asked, hard))
            return asked
        except (ValueError, OSError):
            continue
    return soft
