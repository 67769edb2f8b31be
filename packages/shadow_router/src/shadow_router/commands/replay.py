"""
Replaying recordings against two versions: a run of its own, with no clients.

The comparison, the evidence and the verdict are those of a running collector; the
books are an ordinary data directory. Only latency is not judged: a machine that replays
is not one that serves.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from shadow_router.collector.recording import Recording
from shadow_router.collector.shadow_call import ShadowCaller
from shadow_router.compare.comparisons import comparison_of, failed
from shadow_router.errors import (
    RecordingUnreadable,
    ServiceUnreachable,
    SettingsInvalid,
    StoreAway,
)
from shadow_router.findings.findings import Findings, gather
from shadow_router.http.http_client import HttpClient, parse_origin
from shadow_router.processes.processes import rules_of
from shadow_router.redaction.redaction import Redactor
from shadow_router.request.statuses import Standing, standing_of
from shadow_router.rules.rules import Rules
from shadow_router.settings import Settings, url_fault
from shadow_router.store import Batch, Store, StoreFailed
from shadow_router.values import (
    JSON_BYTES,
    Comparison,
    Difference,
    Exchange,
    Fate,
)
from shadow_router.verdict.verdict import judge

RECORDED = "recorded"
_ROUTER_ID = "replay"
#: Exchanges of one transaction; written in the order of the recording.
_BATCH = 512
#: Shown in a report and counted by what is known, with their bodies.
_DISCREPANCIES = 100


class Replay:
    """
    Sends recorded requests to two services and stores what they make of them.

    Parameters
    ----------
    settings : Settings
        Deadline, cap and concurrency of calls.
    rules : Rules
        What may be sent, and how answers are compared.
    directory : Path
        An empty data directory.
    live, shadow : str
        URLs; live may be `recorded`: the answers that were given at the time.
    """

    def __init__(
        self, settings: Settings, rules: Rules, directory: Path, live: str, shadow: str
    ) -> None:
        # A replay is in no hurry: slowness must not change a fate.
        patient = {"shadow_timeout_s": settings.live_timeout_s}
        settings = settings.model_copy(update=patient)
        self._rules = rules
        self._routes = set(rules.mirror)
        self._redactor = Redactor(rules, secrets.token_bytes())
        self._store = Store(directory)
        self._store.note_rules(rules)
        urls = [url for url in (live, shadow) if url != RECORDED]
        self._clients = {
            url: HttpClient(parse_origin(url), settings.shadow_timeout_s)
            for url in urls
        }
        callers = {
            url: ShadowCaller(settings, client) for url, client in self._clients.items()
        }
        self._live, self._shadow = callers.get(live), callers[shadow]
        self._slots = asyncio.Semaphore(settings.shadow_concurrency)
        self._received = 0

    async def run(self, recordings: Sequence[Recording]) -> None:
        """
        Replay all of them.

        Raises
        ------
        ServiceUnreachable
            If a service does not listen.
        RecordingUnreadable
            If live's recorded answers belong to inputs that were redacted.
        """
        for url, client in self._clients.items():
            await _check_listening(url, client)
        if self._live is None:
            _check_answers(recordings)
        exchanges = chain.from_iterable(one.exchanges() for one in recordings)
        for batch in _batches(exchanges):
            found = await asyncio.gather(*map(self._one, batch))
            await asyncio.to_thread(self._store.write, self._batch(found))
        self._store.finalise(_ROUTER_ID, self._received, {}, 0)
        for client in self._clients.values():
            client.close()
        self._store.close()

    def _batch(self, found: Sequence[Comparison | Fate]) -> Batch:
        self._received += len(found)
        compared = [item for item in found if isinstance(item, Comparison)]
        fates = (item for item in found if isinstance(item, Fate))
        return Batch(compared, Counter((_ROUTER_ID, fate) for fate in fates))

    async def _one(self, exchange: Exchange | None) -> Comparison | Fate:
        if exchange is None:
            return _lost("a damaged line")
        path = exchange.path.decode("latin-1")
        if f"{exchange.method} {path}" not in self._routes:
            return Fate.SKIPPED_METHOD
        async with self._slots:
            try:
                return await self._compare(exchange)
            except Exception as error:  # a fault of ours, as in the collector
                return _lost(type(error).__name__)

    async def _compare(self, exchange: Exchange) -> Comparison | Fate:
        if self._live is not None:
            answer = await self._live.call(exchange)
            if isinstance(answer, Difference):
                return Fate.SKIPPED_LIVE_FAILED
            timing, length = answer.predict_ms, answer.json_bytes
            exchange = exchange._replace(
                live_status=answer.status,
                live_headers={
                    "content-type": answer.content_type,
                    "content-encoding": answer.content_encoding,
                    "server-timing": "" if timing is None else f"predict;dur={timing}",
                    JSON_BYTES: "" if length is None else str(length),
                },
                live_ms=answer.latency_ms,
                live_body=answer.body,
            )
        if standing_of(exchange.live_status) is Standing.UNANSWERED:
            return Fate.SKIPPED_LIVE_FAILED
        shadow = await self._shadow.call(exchange)
        key = self._redactor.digest_key
        found = comparison_of(_ROUTER_ID, exchange, shadow, self._rules, key)
        return self._redactor.comparison(found)


def replayed(
    settings: Settings,
    files: Sequence[Path],
    live: str,
    shadow: str,
    rule_file: Path | None,
) -> Findings:
    """
    Return the summary of a replay whose books are thrown away.

    Raises
    ------
    SettingsInvalid
        If live or shadow is no URL.
    RulesInvalid, RecordingUnreadable, ServiceUnreachable, StoreAway
        As their names say.
    """
    urls = {"shadow_url": shadow} | ({} if live == RECORDED else {"live_url": live})
    for option, url in urls.items():
        if reason := url_fault(url):
            raise SettingsInvalid(f"--{option.removesuffix('_url')}: {reason}")
    rules = rules_of(settings.model_copy(update={"rules": rule_file})).of_a_replay()
    recordings = [Recording(path) for path in files]
    with TemporaryDirectory(prefix="shadow_router_") as name:
        directory = Path(name)
        replay = Replay(settings, rules, directory, live, shadow)
        try:
            uvloop.run(replay.run(recordings))
        except StoreFailed as error:
            # Its text holds what was to be written.
            reason = f"the books of the replay in {directory} cannot be written"
            raise StoreAway(f"{reason}: {type(error).__name__}") from None
        found = gather(directory, per_page=_DISCREPANCIES)
    evidence = replace(found.summary.evidence, inputs_per_s=None)
    summary = replace(found.summary, evidence=evidence, verdict=judge(evidence, rules))
    return replace(found, summary=summary)


def _lost(reason: str) -> Comparison:
    return failed(_ROUTER_ID, None, Difference(Fate.INTERNAL_ERROR, reason))


def _batches(
    exchanges: Iterator[Exchange | None],
) -> Iterator[list[Exchange | None]]:
    while batch := list(islice(exchanges, _BATCH)):
        yield batch


def _check_answers(recordings: Iterable[Recording]) -> None:
    for one in recordings:
        if one.header.redacted:
            raise RecordingUnreadable(
                one.path,
                f"{', '.join(one.header.redacted)} were redacted, so live's recorded "
                "answers belong to other inputs: give --live a URL",
            )


async def _check_listening(url: str, client: HttpClient) -> None:
    origin = client.origin
    try:
        _, writer = await asyncio.open_connection(origin.host, origin.port)
    except OSError as error:
        why = error.strerror or error
        raise ServiceUnreachable(f"nobody answers at {url}: {why}") from None
    writer.close()
