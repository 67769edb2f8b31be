"""Undoing the content codings that bodies travel in; pure, and with a bound."""

import zlib

from shadow_router.errors import AnswerUnreadable

#: Codings that can be undone, with what tells zlib which it is.
_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
#: Of a body undone: a bomb costs the collector no more than a few milliseconds.
MOST_BYTES = 2 * 1024 * 1024


def can_undo(coding: str) -> bool:
    """Return whether a value of `Content-Encoding` can be undone, or says nothing."""
    return coding.strip().lower() in ("", "identity", *_CODINGS)


def undone(body: bytes, coding: str) -> bytes:
    """
    Return a body as it was before it was coded.

    Raises
    ------
    AnswerUnreadable
        If the coding is unknown, or the body is damaged or far too long.
    """
    if not body or coding.strip().lower() in ("", "identity"):
        return body
    window = _CODINGS.get(coding.strip().lower())
    if window is None:
        raise AnswerUnreadable("content encoding is not known")
    decoder = zlib.decompressobj(window)
    try:
        whole = decoder.decompress(body, MOST_BYTES)
    except zlib.error:
        raise AnswerUnreadable("content encoding is damaged") from None
    if not decoder.eof or decoder.unused_data:
        raise AnswerUnreadable("content encoding is damaged, or hides too much")
    return whole
