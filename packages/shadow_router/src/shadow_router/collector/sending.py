"""Which copies reach the shadow: none when killed, few when it only fails."""

import asyncio

from shadow_router.collector.breaker import Breaker
from shadow_router.collector.shadow_call import ShadowCaller
from shadow_router.run.switches import Switches
from shadow_router.settings import Settings, shown_url
from shadow_router.values import Comparison, Difference, Exchange, Fate, Observation

#: How long a malformed request may wait for others of its kind.
_PATIENCE_S = 0.5


class Sender:
    """
    Sends copies, or says why not.

    Requests with which live found fault are no evidence, and anybody can send them:
    they take at most a quarter of the calls in flight, are left out while those hang,
    get no probe of the breaker, and do not move it.
    """

    def __init__(
        self, settings: Settings, caller: ShadowCaller, switches: Switches
    ) -> None:
        self._caller = caller
        self._switches = switches
        self._breaker = Breaker(
            settings.breaker_failures, url=shown_url(settings.shadow_url)
        )
        self._room = asyncio.Semaphore(max(settings.shadow_concurrency // 4, 1))
        self._is_stuck = False

    @property
    def is_breaker_open(self) -> bool:
        """Return whether the shadow gets nothing but probes."""
        return self._breaker.is_open

    async def send(self, exchange: Exchange) -> Observation | Difference | Fate:
        """Return the shadow's answer, why there is none, or why nothing was sent."""
        if not exchange.may_be_evidence:
            return await self._send_faulty(exchange)
        if self._switches.is_killed:
            return Fate.DROPPED_SHED
        if not self._breaker.admits():
            return Fate.DROPPED_BREAKER
        return await self._caller.call(exchange)

    def watch(self, found: Comparison) -> None:
        """Take what became of a copy that was sent."""
        if found.is_evidence:
            self._breaker.watch(found.difference.fate)

    async def _send_faulty(self, exchange: Exchange) -> Observation | Difference | Fate:
        is_left_alone = self._switches.is_killed or self._breaker.is_open
        if is_left_alone or not await self._has_room():
            return Fate.SKIPPED_LIVE_FAILED
        try:
            answer = await self._caller.call(exchange)
        finally:
            self._room.release()
        if isinstance(answer, Observation):
            self._is_stuck = False
        return answer

    async def _has_room(self) -> bool:
        try:
            async with asyncio.timeout(0 if self._is_stuck else _PATIENCE_S):
                await self._room.acquire()
        except TimeoutError:
            self._is_stuck = True
            return False
        return True
