"""
Who may come in: which port answers a path, whose key it takes, and how often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger
from starlette.types import Scope

from iris_api.access.keys import KeyRing
from iris_api.errors import KeyRefused, PathNotServed
from iris_api.predict.prediction import CLIENT
from iris_api.settings import Settings

if TYPE_CHECKING:
    from iris_api.access.rates import RateLimiter

# First segments of paths. Health is for whoever asks; a browser that opens a page
# sends no key, and the documentation holds nothing that a key protects.
HEALTH = frozenset({"livez", "readyz", "health"})
DOCS = frozenset({"docs", "openapi.json", "static-offline-docs"})
PRIVATE = DOCS | {"metrics"}
OPEN = HEALTH | DOCS | {"page"}
OPEN_PATHS = frozenset({"/", "/v2/health/live", "/v2/health/ready"})
# Training rows and what else the page tells of the model; it asks for a key itself.
PAGE_DATA = "/page/data.json"


class Access:
    """
    Decide on each request before anything else is done for it.

    Parameters
    ----------
    keys : KeyRing or None
        Keys to ask for; None lets everybody in.
    limiter : RateLimiter or None
        Counts requests by name of key, by address without keys.
    private_port : int or None
        The port that alone serves what is private; it serves nothing else but
        health, and asks for no key.
    """

    def __init__(
        self,
        keys: KeyRing | None = None,
        limiter: RateLimiter | None = None,
        private_port: int | None = None,
    ) -> None:
        self._keys = keys
        self._limiter = limiter
        self._private_port = private_port

    @property
    def keyed(self) -> bool:
        """Whether a key is asked for."""
        return self._keys is not None

    def check(self, scope: Scope) -> None:
        """
        Return if a request may be answered; note whose it is.

        Raises
        ------
        PathNotServed
            If its path is served on the other port alone.
        KeyRefused
            If it needs a key and has none of ours.
        TooManyRequests
            If its client has sent too many.
        """
        path = scope["path"]
        place = path[1:].partition("/")[0]
        if self._private_port is not None:
            private = scope["server"][1] == self._private_port
            if place not in HEALTH and private != (place in PRIVATE):
                raise PathNotServed
            if private:
                return
        if path != PAGE_DATA and (place in OPEN or path in OPEN_PATHS):
            return
        client = self._identify(scope)
        if self._limiter is not None:
            self._limiter.check(client)

    def _identify(self, scope: Scope) -> str:
        if self._keys is None:
            # The peer itself: whoever wants a header believed can write it, too.
            return scope["client"][0] if scope["client"] else ""
        name = self._keys.find_name(read_key(scope["headers"]))
        if name is None:
            raise KeyRefused("this key is not known here, or no longer")
        scope["state"][CLIENT] = name
        return name


def read_key(headers: list[tuple[bytes, bytes]]) -> bytes:
    """
    Return the key that a request was sent with.

    Raises
    ------
    KeyRefused
        If there is not exactly one.
    """
    sent = [value for name, value in headers if name == b"x-api-key"]
    if len(sent) != 1:
        raise KeyRefused("send your key, once, in the header X-API-Key")
    return sent[0]


def build_access(settings: Settings) -> Access | None:
    """
    Return what the settings ask for; None if that is nothing.

    Raises
    ------
    KeysUnusable
        If the file of keys cannot be used.
    """
    keys = None
    if settings.keys is not None:
        keys = KeyRing(settings.keys)
        logger.info("a key is asked for; {} in force", len(keys))
    limiter = None
    if settings.rate_limit is not None:
        # Here, because loading it would double the start of those without a limit.
        from iris_api.access.rates import RateLimiter

        limiter = RateLimiter(settings.rate_limit)
    if keys is None and limiter is None and settings.private_port is None:
        return None
    return Access(keys, limiter, settings.private_port)
