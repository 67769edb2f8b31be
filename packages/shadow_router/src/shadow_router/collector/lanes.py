"""
The two lanes that test the measurement itself, on a small share of the exchanges.

One asks live a second time: what differs then is not the shadow's doing. The other
spoils an answer and compares it: what is missed then is missed elsewhere too. Neither
touches an exchange's fate, and neither is counted as traffic.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from hashlib import blake2b
from time import monotonic

from loguru import logger

from shadow_router.collector.mutants import Mutant, mutate
from shadow_router.collector.shadow_call import ShadowCaller
from shadow_router.compare.compare import compare
from shadow_router.http.http_client import HttpClient, parse_origin
from shadow_router.request.statuses import Standing, standing_of
from shadow_router.rules.rules import Rules
from shadow_router.run.books import Page
from shadow_router.settings import Settings
from shadow_router.values import (
    Comparison,
    Difference,
    Exchange,
    Fate,
    Lane,
    Observation,
)

#: Told a lane, what was tried, and whether it came out as it must.
Note = Callable[[Lane, str, bool], None]
AGREE = (Fate.MATCH, Fate.WITHIN_TOLERANCE)
#: What marks a request of ours at live; only these carry it.
MARK = (b"x-shadow-router", b"again")
#: Live is left alone for so long after any sign of trouble.
REST_S = 60.0
_NOT_ASKED_AGAIN = (b"x-request-id", b"traceparent")
_FAILED_SHARE = 0.01
_SLOWER = 2.0


def draws_of(seed: str, exchange: Exchange) -> tuple[int, int]:
    """Return two numbers of 64 bits: what each of the lanes draws for an exchange."""
    text = f"{exchange.at_ns} {exchange.request_id}".encode()
    digest = blake2b(text, digest_size=16, key=seed.encode()).digest()
    return int.from_bytes(digest[:8]), int.from_bytes(digest[8:])


def is_chosen(draw: int, share: float) -> bool:
    """Return whether a draw lies in the share."""
    return draw < share * 2**64


def _day(exchange: Exchange) -> date:
    return datetime.fromtimestamp(exchange.at_ns / 1e9, UTC).date()


def _is_about_the_caller(status: int) -> bool:
    """Return whether an answer is about who asks, how often or when; not what."""
    return standing_of(status) is Standing.UNANSWERED


class MutantLane:
    """Spoils answers and notes which of them the comparison finds."""

    def __init__(self, share: float, rules: Rules, note: Note) -> None:
        self._share = share
        self._rules, self._note = rules, note

    def look(self, item: Comparison, draw: int) -> None:
        """Try one mutant of an exchange that was just compared, if it is chosen."""
        if not is_chosen(draw, self._share) or not item.is_evidence:
            return
        base = self._base(item)
        mutant = mutate(base, self._rules, draw) if base else None
        if mutant is None:
            return
        is_found = self._is_found(item, mutant)
        self._note(Lane.MUTANTS, mutant.name, is_found)

    def _base(self, item: Comparison) -> Observation | None:
        """Return an answer that agrees with live's: the shadow's, else live's own."""
        if item.shadow is not None and item.difference.fate in AGREE:
            return item.shadow
        is_readable = compare(item.live, item.live, self._rules).fate in AGREE
        return item.live if is_readable else None

    def _is_found(self, item: Comparison, mutant: Mutant) -> bool:
        day = _day(item.exchange)
        try:
            found = compare(item.live, mutant.answer, self._rules, day)
        except Exception as error:  # a comparison that falls over has found nothing
            logger.error("a mutant was not compared: {}", type(error).__name__)
            return False
        return found.fate not in AGREE


class NoiseLane:
    """Asks live a second time, one request at a time, while live is well."""

    def __init__(self, settings: Settings, rules: Rules, note: Note) -> None:
        self._share = settings.noise_share
        self._rules, self._note = rules, note
        origin = parse_origin(settings.live_url)
        self._client = HttpClient(origin, settings.shadow_timeout_s)
        self._caller = ShadowCaller(settings, self._client)
        self._asking: asyncio.Task[None] | None = None
        self._rests_until = 0.0
        self._has_spoken = False
        self._usual_ms = self._lately_ms = 0.0
        self._seen: dict[str, tuple[int, int]] = {}

    def look(self, item: Comparison, draw: int) -> None:
        """Ask live again if the exchange is chosen and nothing speaks against it."""
        if not item.is_evidence:
            return
        exchange = item.exchange
        self._time(exchange.live_ms)
        if not is_chosen(draw, self._share) or not self._may_ask(exchange):
            return
        self._asking = asyncio.create_task(self._ask(item, draw))

    def watch(self, page: Page) -> None:
        """Let live rest when a share of what a router received lately has failed."""
        now = (page.received, page.fates[Fate.SKIPPED_LIVE_FAILED])
        received, failed = self._seen.get(page.router_id, now)
        self._seen[page.router_id] = now
        if now[1] - failed > _FAILED_SHARE * (now[0] - received):
            self._rest()

    async def stop(self) -> None:
        """Give up what is under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        self._client.close()

    def _time(self, live_ms: float) -> None:
        self._usual_ms = self._usual_ms or live_ms
        self._usual_ms += (live_ms - self._usual_ms) / 1024
        self._lately_ms = self._lately_ms or live_ms
        self._lately_ms += (live_ms - self._lately_ms) / 16

    def _may_ask(self, exchange: Exchange) -> bool:
        path = exchange.path.decode("latin-1")
        is_busy = self._asking is not None and not self._asking.done()
        return (
            f"{exchange.method} {path}" in self._rules.mirror
            and not is_busy
            and monotonic() >= self._rests_until
            and self._lately_ms <= _SLOWER * self._usual_ms
        )

    def _rest(self) -> None:
        self._rests_until = monotonic() + REST_S

    async def _ask(self, item: Comparison, draw: int) -> None:
        try:
            await self._compare(item, draw)
        except Exception as error:  # a fault of ours ends this one trial
            logger.error("live was not compared: {}", type(error).__name__)
            self._rest()

    async def _compare(self, item: Comparison, draw: int) -> None:
        exchange = item.exchange
        kept = (pair for pair in exchange.headers if pair[0] not in _NOT_ASKED_AGAIN)
        ours = (b"x-request-id", b"again-%016x" % draw)
        marked = exchange._replace(headers=(*kept, ours, MARK))
        again = await self._caller.call(marked)
        if isinstance(again, Difference) or _is_about_the_caller(again.status):
            self._rest()
            return
        found = compare(item.live, again, self._rules, _day(exchange)).fate
        if found not in AGREE and not self._has_spoken:
            # Once: the report counts the others.
            self._has_spoken = True
            logger.error("live does not agree with itself: {}", found.value)
        self._note(Lane.LIVE_AGAINST_LIVE, found.value, found in AGREE)


class SelfTest:
    """Both lanes; a fault in either touches nothing but itself."""

    def __init__(self, settings: Settings, seed: str, rules: Rules, note: Note) -> None:
        self._seed = seed
        self._noise = NoiseLane(settings, rules, note)
        self._mutants = MutantLane(settings.mutant_share, rules, note)

    def look(self, item: Comparison) -> None:
        """Take note of an exchange that was just compared, before it is redacted."""
        noise, mutants = draws_of(self._seed, item.exchange)
        for lane, draw in ((self._noise, noise), (self._mutants, mutants)):
            try:
                lane.look(item, draw)
            except Exception as error:
                logger.error("a lane failed: {}", type(error).__name__)

    def watch(self, page: Page) -> None:
        """Take note of how a router fares with live."""
        self._noise.watch(page)

    async def stop(self) -> None:
        """Give up what is under way."""
        await self._noise.stop()
