"""One call to the shadow: once, with a deadline, and whatever comes of it."""

import asyncio
import time

from shadow_router.answers import predict_ms
from shadow_router.errors import UpstreamFailed, UpstreamRefused
from shadow_router.http_client import Answer, HttpClient, encode_head
from shadow_router.records import Difference, Exchange, Fate, Observation
from shadow_router.settings import Settings


class ShadowCaller:
    """Sends copies to the shadow and returns what it made of them."""

    def __init__(self, settings: Settings, client: HttpClient) -> None:
        self._client = client
        self._timeout_s = settings.shadow_timeout_s
        self._cap = settings.body_cap_bytes

    async def call(self, exchange: Exchange) -> Observation | Difference:
        """Return the shadow's answer, or the fate of a request that got none."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._client.send(
                    self._head(exchange),
                    exchange.request_body,
                    head_only=exchange.method == "HEAD",
                )
                try:
                    body = await answer.read(self._cap)
                finally:
                    answer.release()
        except TimeoutError:
            reason = f"no whole answer within {self._timeout_s:g} s"
            return Difference(Fate.SHADOW_TIMEOUT, reason)
        except UpstreamRefused as error:
            return Difference(Fate.SHADOW_REFUSED, str(error))
        except UpstreamFailed as error:
            return Difference(Fate.SHADOW_ERROR, str(error))
        return _observe(answer, body, (time.perf_counter() - began) * 1e3)

    def _head(self, exchange: Exchange) -> bytes:
        headers = [(b"host", self._client.origin.authority), *exchange.headers]
        if exchange.request_body:
            length = b"%d" % len(exchange.request_body)
            headers.append((b"content-length", length))
        return encode_head(exchange.method, exchange.target, headers)


def _observe(answer: Answer, body: bytes, latency_ms: float) -> Observation:
    headers = {
        name.lower().decode("ascii"): value.decode("latin-1")
        for name, value in answer.headers
    }
    return Observation(
        status=answer.status,
        content_type=headers.get("content-type", ""),
        content_encoding=headers.get("content-encoding", ""),
        body=body,
        latency_ms=latency_ms,
        predict_ms=predict_ms(headers.get("server-timing", "")),
    )
