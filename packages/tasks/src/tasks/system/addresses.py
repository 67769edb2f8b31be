"""
Where the services listen on this machine, by the settings of the units.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from tasks.system.environments import CannotStart

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Address:
    """Where a process can be reached, and the setting that moves it."""

    url: str
    setting: str


def read(name: str, default: str = "") -> str:
    """
    Return a setting; what is blank is not set.

    Nor is a link to a service, which Kubernetes sets for one that is named as a unit:
    the units say so.
    """
    value = os.environ.get(name, "").strip()
    is_link = value.lower().startswith(("tcp://", "udp://", "sctp://"))
    return default if is_link else value or default


def listener(port: str, default: str, host: str = "") -> Address:
    """
    Return where a listener can be reached from this machine.

    Parameters
    ----------
    port, host : str
        Names of its settings; without the second it is on loopback.
    default : str
        Its port where that is not set.

    Raises
    ------
    CannotStart
        If the port is none.
    """
    number = read(port, default)
    if not (number.isascii() and number.isdigit() and 0 < int(number) < 65536):
        raise CannotStart(f"{port}: {number!a} is no port")
    return Address(url_of(read(host, "127.0.0.1"), int(number)), port)


def upstream(name: str, default: str) -> Address:
    """
    Return where a service is that a setting gives the URL of.

    Raises
    ------
    CannotStart
        If it is none.
    """
    url = read(name, default)
    try:
        parts = urlsplit(url)
        is_url = bool(parts.scheme and parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise CannotStart(f"{name}: {url!a} is no URL such as {default}")
    return Address(url, name)


def url_of(host: str, port: int) -> str:
    """Return the URL of a listener: an IPv6 address in brackets, this machine's own."""
    host = ANYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def hosts_of_apis() -> str:
    """
    Return which hosts live and shadow have to answer for.

    The router hands on the Host that it was asked for. One that other machines can
    reach answers for any, and then so does what stands behind it.
    """
    asked = [read("IRIS_API_ALLOWED_HOSTS"), read("SHADOW_ROUTER_ALLOWED_HOSTS")]
    if not asked[1] and not is_local(read("SHADOW_ROUTER_PUBLIC_HOST", "127.0.0.1")):
        asked.append("*")
    return ",".join(filter(None, asked))


def is_local(host: str) -> bool:
    """Return whether a listener on a host is for this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def free_port() -> int:
    """Return a port that nobody listens on."""
    while True:
        # Below the ports that the kernel gives to clients: none takes it meanwhile.
        port = random.SystemRandom().randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
