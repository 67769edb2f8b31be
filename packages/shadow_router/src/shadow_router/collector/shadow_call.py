"""One call to the shadow: once, with a deadline, and whatever comes of it."""

import time

from shadow_router.compare.answers import kept_headers, observation_of
from shadow_router.errors import DescriptorsUsedUp, UpstreamFailed, UpstreamRefused
from shadow_router.http.http_client import HttpClient, encode_head
from shadow_router.request.targets import origin_form
from shadow_router.settings import Settings
from shadow_router.values import Difference, Exchange, Fate, Observation


class ShadowCaller:
    """Sends copies to the shadow and returns what it made of them."""

    def __init__(self, settings: Settings, client: HttpClient) -> None:
        self._client = client
        self._timeout_s = settings.shadow_timeout_s
        self._cap = settings.body_cap_bytes

    async def call(self, exchange: Exchange) -> Observation | Difference:
        """
        Return the shadow's answer, or the fate of a request that got none.

        Raises
        ------
        DescriptorsUsedUp
            If it could not be asked, by a fault of ours.
        """
        began = time.perf_counter()
        try:
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
        except DescriptorsUsedUp:
            # A fault of ours must not pass for one of the shadow's.
            raise
        except UpstreamRefused as error:
            return Difference(Fate.SHADOW_REFUSED, str(error))
        except UpstreamFailed as error:
            return Difference(Fate.SHADOW_ERROR, str(error))
        latency_ms = (time.perf_counter() - began) * 1e3
        return observation_of(
            answer.status, kept_headers(answer.headers), body, latency_ms
        )

    def _head(self, exchange: Exchange) -> bytes:
        headers = [(b"host", self._client.origin.authority), *exchange.headers]
        if exchange.request_body:
            length = b"%d" % len(exchange.request_body)
            headers.append((b"content-length", length))
        # A host in the target would count for more than the one above.
        return encode_head(exchange.method, origin_form(exchange.target), headers)
