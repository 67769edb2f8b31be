"""Who holds a port, as far as the system tells: for the line that says it is taken."""

import contextlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

_TABLES = {socket.AF_INET: "/proc/net/tcp", socket.AF_INET6: "/proc/net/tcp6"}
_LISTENING = "0A"
_COMMAND_SHOWN = 80
_UNKNOWN = "a process that cannot be named from here; end it"


def holder_of(host: str, port: int) -> str:
    """
    Return who holds a port and how to end it, as words for the middle of a sentence.

    Parameters
    ----------
    host, port : str, int
        An address that could not be bound because it is in use.

    Returns
    -------
    str
        Process id and command where `/proc` tells them: on Linux, of a process of the
        same user, or of any when asked by root.
    """
    for inode in _sockets(_packed(host), port):
        for pid in _owners(f"socket:[{inode}]"):
            return f"process {pid} ({_command(pid)}); end it (kill {pid})"
    return _UNKNOWN


def _packed(host: str) -> bytes:
    """Return the bytes of an address, those of IPv4 also where it is within IPv6."""
    family, *_, address = socket.getaddrinfo(host, None)[0]
    return _unmapped(socket.inet_pton(family, str(address[0]).partition("%")[0]))


def _unmapped(packed: bytes) -> bytes:
    return packed.removeprefix(bytes(10) + b"\xff\xff")


def _sockets(host: bytes, port: int) -> list[str]:
    """Return the inodes of the sockets that keep an address, listening ones first."""
    found = []
    for table in _TABLES.values():
        with contextlib.suppress(OSError):
            for row in Path(table).read_text().splitlines()[1:]:
                _, local, _, state, *rest = row.split()
                address, _, number = local.partition(":")
                theirs = _unmapped(_in_network_order(address))
                # Any address stands in the way of each, and each in the way of any.
                meets = theirs == host or not any(theirs) or not any(host)
                if int(number, 16) == port and meets:
                    found.append((state != _LISTENING, rest[5]))
    return [inode for _, inode in sorted(found)]


def _in_network_order(text: str) -> bytes:
    """Return the bytes of an address that the kernel writes as its own integers."""
    words = (text[at : at + 8] for at in range(0, len(text), 8))
    return b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)


def _owners(link: str) -> Iterator[int]:
    """Yield processes that have a socket open, the oldest first."""
    for pid in sorted(int(p.name) for p in Path("/proc").glob("[0-9]*")):
        with contextlib.suppress(OSError):
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(file.readlink()) == link:
                        yield pid


def _command(pid: int) -> str:
    """Return a process's command line, on one line and short."""
    text = ""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    shown = "".join(c if c.isprintable() else " " for c in text).strip()
    is_long = len(shown) > _COMMAND_SHOWN
    return shown[:_COMMAND_SHOWN] + "…" if is_long else shown or "unknown command"
