"""Asking live for its metrics, and keeping what they said within the last hour."""

import asyncio
import dataclasses
import time
from collections import deque

from shadow_router.clocks import since_1970
from shadow_router.errors import UpstreamFailed
from shadow_router.http.http_client import HttpClient, encode_head
from shadow_router.watch.drift import Drift, drift_between
from shadow_router.watch.exposition import Sample, parse_sample
from shadow_router.watch.hour import HOUR_S, STEP_S

_DEADLINE_S = 2.0
_CAP_BYTES = 512 * 1024


class DriftWatch:
    """
    Reads live's metrics as often as the last hour is counted, one answer at a time.

    A live that shows none, or fails, is no fault.

    Parameters
    ----------
    client : HttpClient
        Of live; used by nobody else.
    tells_little : bool, optional
        Whether inputs are withheld, so that no cell may tell much of one.
    """

    def __init__(self, client: HttpClient, tells_little: bool = False) -> None:
        self._client = client
        self._tells_little = tells_little
        self._samples: deque[Sample] = deque()
        self._drift: Drift | None = None

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            body = await self._ask()
            self._drift = await asyncio.to_thread(self._take, body, time.monotonic())
            await asyncio.sleep(STEP_S)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @property
    def drift(self) -> Drift | None:
        """Return the drift of the last hour, None where live tells nothing of it."""
        found = self._drift
        if found is None:
            return None
        begin, end = since_1970(found.begin), since_1970(found.end)
        return dataclasses.replace(found, begin=begin, end=end)

    async def _ask(self) -> bytes:
        """Return live's metrics, nothing where there are none."""
        accept = (b"accept", b"text/plain")
        headers = [(b"host", self._client.origin.authority), accept]
        try:
            async with asyncio.timeout(_DEADLINE_S):
                answer = await self._client.send(
                    encode_head("GET", b"/metrics", headers)
                )
                try:
                    body = await answer.read(_CAP_BYTES)
                finally:
                    answer.release()
        except (TimeoutError, UpstreamFailed):
            return b""
        return body if answer.status == 200 else b""

    def _take(self, body: bytes, now: float) -> Drift | None:
        samples = self._samples
        sample = parse_sample(body, now)
        if sample is not None:
            if samples and sample.references == samples[-1].references:
                # The same table, kept once.
                same = samples[-1].references
                sample = dataclasses.replace(sample, references=same)
            samples.append(sample)
        while samples and samples[0].at < now - HOUR_S:
            samples.popleft()
        return drift_between(samples, self._tells_little)
