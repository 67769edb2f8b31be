"""
Which hosts a listener answers for, and how a host is written.

A page of a stranger may have its own name point at this machine. The browser then
takes what listens here for a part of that page, and says so by the name in ``Host``:
a listener that only this machine can reach answers no name but its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import socket
from typing import Any

# What load balancers and scrapers ask for, under whatever name they like.
EXEMPT = frozenset(
    (
        "/livez",
        "/readyz",
        "/health",
        "/metrics",
        "/v2/health/live",
        "/v2/health/ready",
    )
)
ANY = "*"

_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?").fullmatch
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::[0-9]*)?").fullmatch
# A name has 253 characters at most; and how many spellings are remembered.
_LONGEST, _SPELLINGS = 300, 256


class HostGuard:
    """
    Decides whether a request names a host that is served.

    Parameters
    ----------
    names : iterable of str
        Names and addresses that are; ``*.example.org`` for all below one, ``*`` for
        any. ``localhost`` and loopback addresses always are: no name server of a
        stranger answers for them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        served = [name if "*" in name else canonical_host(name) for name in names]
        self._names = frozenset(filter(None, served)) | {"localhost"}
        self._endings = tuple(name[1:] for name in self._names if name[:2] == "*.")
        # Clients spell a host in few ways, and each request asks.
        self._admits = lru_cache(_SPELLINGS)(self._look_up)

    def refuses(self, scope: Any) -> bool:
        """Return whether a request (an ASGI scope) is for a host that is not served."""
        for name, value in scope["headers"]:
            if name == b"host":
                return not self.admits(value) and scope["path"] not in EXEMPT
        # HTTP/1.0, which no browser speaks.
        return False

    def admits(self, authority: bytes) -> bool:
        """Return whether what a request names as its host is served."""
        return len(authority) <= _LONGEST and self._admits(authority)

    def _look_up(self, authority: bytes) -> bool:
        if ANY in self._names:
            return True
        host = host_of(authority.decode("latin-1"))
        if host is None:
            return False
        is_named = host in self._names or host.endswith(self._endings)
        return is_named or is_loopback(host)


def guard_listener(
    listener: socket, host: str, allowed: Iterable[str]
) -> HostGuard | None:
    """
    Return what guards a listener; None where any host will do.

    Parameters
    ----------
    listener : socket
        Bound. One that other machines can reach is guarded only if `allowed` says so.
    host : str
        What it was bound to, as it was set.
    allowed : iterable of str
        Further names and addresses to answer for.
    """
    address, allowed = listener.getsockname()[0], tuple(allowed)
    if not allowed and not is_loopback(address):
        return None
    return HostGuard((address, host, *allowed))


def host_of(authority: str) -> str | None:
    """
    Return the host of an authority in its one spelling; None if it is no authority.

    Ports are not compared: whoever forwards one (``ssh -L``) chooses another. A user
    before the host makes it none.
    """
    found = _AUTHORITY(authority.strip(" \t"))
    return canonical_host(found[1]) if found else None


def canonical_host(host: str) -> str | None:
    """Return a name or an address in its one spelling; None if it is neither."""
    is_bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if is_bracketed else host)
    except ValueError:
        return host.lower().removesuffix(".") if _NAME(host) else None
    return str(_unmapped(address))


def is_loopback(address: str) -> bool:
    """Return whether an address, not a name, is of this machine alone."""
    try:
        return _unmapped(ip_address(address)).is_loopback
    except ValueError:
        return False


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return ``127.0.0.1`` for ``::ffff:127.0.0.1``, and others as they are."""
    return getattr(address, "ipv4_mapped", None) or address


def check_allowed(name: str) -> str:
    """
    Return an entry of a list of allowed hosts.

    Raises
    ------
    ValueError
        If it is none; the text says how one is written.
    """
    if name != ANY and canonical_host(name.removeprefix("*.")) is None:
        raise ValueError(
            f"{name!a} is no host: write a name (models.example.org, *.example.org) "
            "or an address, without scheme and port"
        )
    return name.lower()


def take_authority(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Put the authority of an absolute target into Host: RFC 9112, section 3.2.2."""
    authority = re.split(rb"[/?#]", target.partition(b"://")[2], maxsplit=1)[0]
    if not any(name == b"host" for name, _ in headers):
        headers.append((b"host", authority))
    headers[:] = [
        (name, authority if name == b"host" else value) for name, value in headers
    ]


def url_of(host: str, port: int) -> str:
    """Return the URL of a listener; an IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
