"""
The connections of a server, how many there may be, and how long each may take.
"""

from __future__ import annotations

from typing import Protocol, cast

from loguru import logger
from uvicorn.server import ServerState

from iris_api.http.descriptors import MOST_SPARE, is_one_free

TICK_S = 0.1
# Clients that are turned away are told of in the log, so often at most.
TOLD_EVERY_S = 10

# Nothing has come yet; a request's head is coming, its body; it is being answered;
# between requests; the last answer is sent, and the client may still read it.
SILENT = "silent"
HEAD = "head"
BODY = "body"
ANSWER = "answer"
IDLE = "idle"
PARTING = "parting"

# ANSWER counts only while the client does not read.
PATIENCE_S = {SILENT: 2, HEAD: 2, BODY: 4, ANSWER: 10, PARTING: 2}
# What an idle connection gets while others are turned away.
CROWDED_IDLE_S = 5


class Ageing(Protocol):
    """A connection."""

    def grow_older(self, patience: dict[str, int]) -> None:
        """Age by one tick, and act if a phase has lasted longer than it may."""


class Crowd(ServerState):
    """
    The connections of a server; they age in ticks of its event loop.

    Ticks, not a clock: when the loop, the process or the machine stood still, bytes
    that came meanwhile wait to be read, and nobody is late.

    Parameters
    ----------
    most : int
        Connections that are served; further ones are refused.
    idle_s : int
        Seconds that a connection may be kept between requests.
    spare : int
        Connections beyond those, which may ask how the process is.
    """

    def __init__(self, most: int, idle_s: int, spare: int = MOST_SPARE) -> None:
        super().__init__()
        self.most = most
        self.spare = spare
        self._turned_away = 0
        self._ticks_told_ago = round(TOLD_EVERY_S / TICK_S)
        self._roomy = _in_ticks({**PATIENCE_S, IDLE: idle_s})
        self._crowded = _in_ticks({**PATIENCE_S, IDLE: min(idle_s, CROWDED_IDLE_S)})

    def grow_older(self) -> None:
        """Let all connections age by one tick; called every TICK_S."""
        crowded = len(self.connections) >= self.most
        patience = self._crowded if crowded else self._roomy
        for connection in list(self.connections):
            cast(Ageing, connection).grow_older(patience)
        self._tell()

    def turn_away(self) -> None:
        """Note a client that is answered that there are too many."""
        self._turned_away += 1

    def _tell(self) -> None:
        self._ticks_told_ago += 1
        if self._ticks_told_ago * TICK_S < TOLD_EVERY_S:
            return
        if self._turned_away:
            words = "{} connections are all that are served; {} more were answered 503"
            logger.warning(words, self.most, self._turned_away)
        elif not is_one_free():
            logger.warning("no descriptor is left: new clients are cut off unanswered")
        else:
            return
        self._turned_away = self._ticks_told_ago = 0


def _in_ticks(seconds: dict[str, int]) -> dict[str, int]:
    return {phase: round(patience / TICK_S) for phase, patience in seconds.items()}
