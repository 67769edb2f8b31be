"""Asking both services which artefact they run, where their answers do not say."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from loguru import logger

from shadow_router.compare.answers import parse_document
from shadow_router.errors import AnswerUnreadable, UpstreamFailed
from shadow_router.http.http_client import HttpClient, encode_head
from shadow_router.rules.paths import values_at
from shadow_router.rules.rules import Identity, Rules

EVERY_S = 10.0
_DEADLINE_S = 2.0
_CAP_BYTES = 1024 * 1024
_LONGEST_DIGEST = 128


class IdentityWatch:
    """
    Asks live and shadow at the start of a run and regularly, and notes what is new.

    Parameters
    ----------
    clients : mapping of str to HttpClient
        By role; used by nobody else.
    identity : Identity
        Where to ask, and where in the document the digest is.
    note : callable
        Keeps a role and its digest; returns whether it could.
    may_ask : callable
        Returns whether a role may be called now.
    """

    def __init__(
        self,
        clients: Mapping[str, HttpClient],
        identity: Identity,
        note: Callable[[str, str], Awaitable[bool]],
        may_ask: Callable[[str], bool] = lambda role: True,
    ) -> None:
        self._clients = clients
        self._identity = identity
        self._note = note
        self._may_ask = may_ask
        self._last: dict[str, str] = {}

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            asked = filter(self._may_ask, self._clients)
            await asyncio.gather(*map(self._ask, asked))
            await asyncio.sleep(EVERY_S)

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    async def _ask(self, role: str) -> None:
        try:
            digest = await self._digest_of(self._clients[role])
        except (TimeoutError, UpstreamFailed, AnswerUnreadable):
            # It may be starting, or tell no digest at all: neither is a fault.
            return
        if digest and digest != self._last.get(role) and await self._note(role, digest):
            self._last[role] = digest
            logger.info("{} runs the artefact {}", role, digest[:12])

    async def _digest_of(self, client: HttpClient) -> str:
        headers = [(b"host", client.origin.authority), (b"accept", b"application/json")]
        head = encode_head("GET", self._identity.path.encode("ascii"), headers)
        async with asyncio.timeout(_DEADLINE_S):
            answer = await client.send(head)
            try:
                body = await answer.read(_CAP_BYTES)
            finally:
                answer.release()
        return digest_in(body, self._identity.digest) if answer.status == 200 else ""


def watched(rules: Rules) -> bool:
    """Return whether the services are to be asked: not where answers tell it."""
    return bool(rules.identity.path) and not rules.paths.digest


def digest_in(body: bytes, path: str) -> str:
    """
    Return the digest in a document, an empty string where there is no usable one.

    Raises
    ------
    AnswerUnreadable
        If the document is not JSON or has nothing at the path.
    """
    found = values_at(parse_document(body), path)
    digest = found[0] if len(found) == 1 else None
    is_usable = (
        isinstance(digest, str)
        and len(digest) <= _LONGEST_DIGEST
        and digest.isascii()
        and digest.isalnum()
    )
    return str(digest) if is_usable else ""
