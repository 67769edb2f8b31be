"""
True labels on the private port: POST with a control key, the queue by GET.

Whoever labels is not led: until a label is there, nothing says which version gave which
of two answers, nor how sure live was.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shadow_router.http.asgi import Receive, Scope, Send
from shadow_router.http.forwarding import read_body
from shadow_router.page.label_panel import answers_of
from shadow_router.private.controls import Refused, answer_json, check_sender, refuse
from shadow_router.run.changes import ChangeLog
from shadow_router.store import (
    Joined,
    Labelling,
    LabelTotals,
    StoreFailed,
    TrueLabel,
)

PATH, UNDO_PATH = "/labels", "/labels/undo"
#: Of one request.
MOST = 1000
_BODY_BYTES = 512 * 1024
_LONGEST = 256
_OF_ROW = ("request_id", "row")


class Labels:
    """
    ASGI app that takes labels, and takes them back.

    Parameters
    ----------
    keys : Path
        The file of control keys.
    join, undo : callable
        Have the store join labels to inputs, and forget them; StoreFailed if it cannot.
    log : ChangeLog
        Told of what was taken back.
    """

    def __init__(
        self,
        keys: Path,
        join: Callable[[Sequence[TrueLabel]], Awaitable[Joined]],
        undo: Callable[[Sequence[Labelling]], Awaitable[int]],
        log: ChangeLog,
    ) -> None:
        self._keys = keys
        self._join, self._undo = join, undo
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Join or undo the labels of one request and say what became of them."""
        try:
            who = check_sender(scope, self._keys)
            begun = await read_body(receive, _BODY_BYTES)
            if begun.is_over_cap:
                raise Refused(413, f"a body is at most {_BODY_BYTES} bytes")
            if scope["path"] == UNDO_PATH:
                told = await self._take_back(parse_rows(begun.content), who)
            else:
                told = asdict(await self._join(parse_labels(begun.content)))
        except StoreFailed:
            await refuse(send, Refused(503, "the store cannot take labels now"))
        except Refused as refused:
            await refuse(send, refused)
        else:
            await answer_json(send, told)

    async def _take_back(self, given: list[Labelling], who: str) -> dict[str, object]:
        undone = await self._undo(given)
        if undone:
            # Whoever has seen whose answer it was may label with another eye.
            self._log.add(who, "labels taken back", 0, undone)
        return {"undone": undone}


def parse_labels(body: bytes) -> list[TrueLabel]:
    """
    Return the labels of a body.

    Raises
    ------
    Refused
        If it is not `{"labels": [{"request_id", "row", "label"}]}`; names the place
        and quotes nothing.
    """
    return [TrueLabel(**one) for one in _parse(body, (*_OF_ROW, "label"))]


def parse_rows(body: bytes) -> list[Labelling]:
    """Return the rows of a body whose labels go; refuses as `parse_labels` does."""
    return [Labelling(**one) for one in _parse(body, _OF_ROW)]


def _parse(body: bytes, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(document, dict) or list(document) != ["labels"]:
        raise Refused(422, "the body holds labels and nothing else")
    listed = document["labels"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST:
        raise Refused(422, f"labels must be a list of 1 to {MOST:,}")
    for place, one in enumerate(listed):
        _check_fields(place, one, fields)
    return listed


def _check_fields(place: int, one: Any, fields: tuple[str, ...]) -> None:
    if not isinstance(one, dict) or one.keys() != set(fields):
        named = f"{', '.join(fields[:-1])} and {fields[-1]}"
        raise Refused(422, f"/labels/{place}: must hold {named}")
    for field in fields:
        if field != "row" and not _is_text(one[field]):
            raise Refused(
                422, f"/labels/{place}/{field}: must be text of 1 to {_LONGEST}"
            )
    row = one["row"]
    if type(row) is not int or not 0 <= row < 2**31:
        raise Refused(422, f"/labels/{place}/row: must be a whole number from 0")


def _is_text(value: object) -> bool:
    # Half of a surrogate pair is no text: no database would take it.
    return (
        isinstance(value, str)
        and 1 <= len(value) <= _LONGEST
        and not any("\ud800" <= character <= "\udfff" for character in value)
        and "\0" not in value
    )


def totals_json(totals: LabelTotals, order: bytes) -> dict[str, object]:
    """
    Return sums, queue and the last labels; a negative flip is a right answer lost.

    The page shows inputs; JSON is without bodies.
    """
    return {
        "labelled": totals.flips,
        "negative_flips": totals.live_alone_right,
        "positive_flips": totals.shadow_alone_right,
        "queue": [
            {
                "request_id": one.request_id,
                "row": one.row,
                "answers": list(answers_of(one, order)),
            }
            for one in totals.wanted
        ],
        "last": [asdict(one) for one in totals.last],
    }
