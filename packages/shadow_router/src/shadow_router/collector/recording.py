"""
Recordings: exchanges in a file, to be replayed; reading and writing lines of it.

The file is gzip. Its first line says what it is, each other line is one exchange, all
of them JSON. What reads them trusts nothing: a line that is none is counted as lost.
"""

import base64
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadow_router import __version__
from shadow_router.errors import RecordingUnreadable
from shadow_router.rules.rules import Rules
from shadow_router.values import JSON_BYTES, Exchange

#: Raised with every change of the lines that older versions could not read.
FORMAT = 1
#: Headers of an answer that a comparison looks at; no other is recorded.
_KEPT_OF_ANSWERS = ("content-type", "content-encoding", "server-timing", JSON_BYTES)
#: What a store can hold, and what no exchange has taken yet.
_LATEST_NS = 2**63 - 1
_LONGEST_MS = 1e9
#: Of one recording: so many lines that are missing can still be counted as lost.
MOST_REQUESTS = 10_000_000
#: Two bodies of the largest cap in use, and then some.
_LONGEST_LINE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a recording."""

    #: Fields of bodies that are not what was sent: live's answers do not fit them.
    redacted: tuple[str, ...] = ()
    #: How many exchanges follow; None in a log that is still being written.
    requests: int | None = None


def header_of(rules: Rules, requests: int | None = None) -> Header:
    """Return the header of what is recorded under these rules."""
    return Header(rules.redact.fields, requests)


def encode_header(header: Header) -> bytes:
    """Return the first line of a recording."""
    document = {
        "recording": FORMAT,
        "by": f"shadow_router {__version__}",
        "redacted": header.redacted,
        "requests": header.requests,
    }
    return _line(document)


def encode_exchange(exchange: Exchange) -> bytes:
    """Return one line; an exchange of status 0 is written without live's answer."""
    headers = exchange.live_headers
    kept = {name: headers[name] for name in _KEPT_OF_ANSWERS if name in headers}
    live = {
        "status": exchange.live_status,
        "headers": kept,
        "ms": round(exchange.live_ms, 3),
        **_body(exchange.live_body),
    }
    document = {
        "id": exchange.request_id,
        "at_ns": exchange.at_ns,
        "method": exchange.method,
        "target": exchange.target.decode("latin-1"),
        "headers": [
            [name.decode("latin-1"), value.decode("latin-1")]
            for name, value in exchange.headers
        ],
        **_body(exchange.request_body),
        "live": live if exchange.live_status else None,
    }
    return _line(document)


def _line(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogateescape") + b"\n"


def _body(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}


def _bytes(document: dict[str, Any]) -> bytes:
    if "base64" in document:
        return base64.b64decode(document["base64"], validate=True)
    text: str = document["body"]
    return text.encode()


def decode_exchange(line: bytes) -> Exchange | None:
    """Return the exchange of a line, None when it is none."""
    try:
        document = json.loads(line)
        live = document["live"]
        if live is None:
            live = {"status": 0, "headers": {}, "ms": 0.0, "body": ""}
        return Exchange(
            request_id=_word(document["id"]),
            at_ns=_whole(document["at_ns"], _LATEST_NS),
            method=_word(document["method"]),
            target=_word(document["target"]).encode("latin-1"),
            headers=tuple(
                (_word(name).encode("latin-1"), _line_of(value).encode("latin-1"))
                for name, value in document["headers"]
            ),
            request_body=_bytes(document),
            live_status=_whole(live["status"], 999),
            live_headers={_word(k): _line_of(v) for k, v in live["headers"].items()},
            live_ms=_duration(live["ms"]),
            live_body=_bytes(live),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _whole(value: Any, most: int) -> int:
    # JSON knows no bounds, and Python's reader takes `NaN`; a store has both.
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("not a whole number within its bounds")
    return value


def _duration(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _LONGEST_MS:
        raise ValueError("not a duration")
    return float(value)


def _line_of(value: Any) -> str:
    # It becomes part of a request's head, which must not grow lines of its own.
    if not isinstance(value, str) or set(value) & set("\r\n\0"):
        raise ValueError("not a line of text")
    value.encode()
    return value


def _word(value: Any) -> str:
    if " " in _line_of(value):
        raise ValueError("not a word")
    return str(value)


def _header(document: dict[str, Any]) -> Header:
    redacted, requests = document["redacted"], document["requests"]
    if not isinstance(redacted, list):
        raise TypeError("not a list of fields")
    if requests is not None:
        requests = _whole(requests, MOST_REQUESTS)
    return Header(tuple(map(_word, redacted)), requests)


class Recording:
    """
    A recording opened for reading.

    Raises
    ------
    RecordingUnreadable
        If there is no such file, or it is none, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = gzip.open(path)
            first = self._next_line()
            document = json.loads(first or b"null")
            if document["recording"] != FORMAT:
                reason = f"format {document['recording']}, this version reads {FORMAT}"
                raise RecordingUnreadable(path, reason)
            self.header = _header(document)
        except OSError as error:
            raise RecordingUnreadable(path, error.strerror or str(error)) from None
        except (ValueError, TypeError, KeyError, RecursionError):
            raise RecordingUnreadable(path, "its first line is no header") from None

    def exchanges(self) -> Iterator[Exchange | None]:
        """Yield each exchange; None for one that is damaged, or should be there."""
        count = 0
        with self._file:
            while line := self._next_line():
                yield decode_exchange(line)
                count += 1
        for _ in range((self.header.requests or 0) - count):
            yield None

    def _next_line(self) -> bytes:
        """Return the next line, empty at the end, also at one that comes too soon."""
        try:
            line = self._file.readline(_LONGEST_LINE)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return b""
        return line if line.endswith(b"\n") else b""


def write_recording(path: Path, header: Header, lines: list[bytes]) -> None:
    """Write a whole recording; the same lines always make the same bytes."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(encode_header(header))
        file.writelines(lines)
