"""
A transport that sends what is written in one turn of the event loop in one piece.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Corked(asyncio.Transport):
    """
    Hold writes until the end of the turn.

    uvicorn writes head and body of an answer apart, and uvloop would hand each to
    the kernel at once: twice the most expensive thing that a small answer costs.

    Parameters
    ----------
    transport : asyncio.Transport
        Written to.
    """

    __slots__ = ("_transport", "_held", "_loop")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def write(self, data: Any) -> None:  # Any: as the base class has it
        """Take bytes that leave when the turn ends."""
        if not self._held:
            self._loop.call_soon(self._release)
        self._held.append(data)

    def _release(self) -> None:
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._transport.write(data)

    def close(self) -> None:
        """Send what is held, then close."""
        self._release()
        self._transport.close()

    def write_eof(self) -> None:
        """Send what is held, then no more."""
        self._release()
        self._transport.write_eof()

    def abort(self) -> None:
        """Close at once; what is held is lost."""
        self._held.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """Return whether it is closed or about to be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows of its connection."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Stop to receive."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        self._transport.resume_reading()
