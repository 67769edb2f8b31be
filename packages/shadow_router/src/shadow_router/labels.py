"""True labels on the private port: POST with a control key, the queue by GET."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shadow_router.asgi import Receive, Scope, Send
from shadow_router.controls import Refused, answer_json, check_sender, refuse
from shadow_router.forwarding import read_body
from shadow_router.store import Joined, LabelTotals, StoreFailed, TrueLabel

PATH = "/labels"
#: Of one request.
MOST = 1000
_BODY_BYTES = 512 * 1024
_LONGEST = 256
_FIELDS = {"request_id", "row", "label"}


class Labels:
    """
    ASGI app that takes labels.

    Parameters
    ----------
    keys : Path
        The file of control keys.
    join : callable
        Has the store join labels to inputs; StoreFailed if it cannot.
    """

    def __init__(
        self, keys: Path, join: Callable[[Sequence[TrueLabel]], Awaitable[Joined]]
    ) -> None:
        self._keys = keys
        self._join = join

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Join the labels of one request and say what became of each."""
        try:
            check_sender(scope, self._keys)
            begun = await read_body(receive, _BODY_BYTES)
            if begun.is_over_cap:
                raise Refused(413, f"a body is at most {_BODY_BYTES} bytes")
            joined = await self._join(parse_labels(begun.content))
        except StoreFailed:
            await refuse(send, Refused(503, "the store cannot take labels now"))
        except Refused as refused:
            await refuse(send, refused)
        else:
            await answer_json(send, asdict(joined))


def parse_labels(body: bytes) -> list[TrueLabel]:
    """
    Return the labels of a body.

    Raises
    ------
    Refused
        If it is not `{"labels": [{"request_id", "row", "label"}]}`; names the place
        and quotes nothing.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(document, dict) or list(document) != ["labels"]:
        raise Refused(422, "the body holds labels and nothing else")
    listed = document["labels"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST:
        raise Refused(422, f"labels must be a list of 1 to {MOST:,}")
    return [_label(place, one) for place, one in enumerate(listed)]


def _label(place: int, one: Any) -> TrueLabel:
    if not isinstance(one, dict) or one.keys() != _FIELDS:
        raise Refused(422, f"/labels/{place}: must hold request_id, row and label")
    for field in ("request_id", "label"):
        if not _is_text(one[field]):
            raise Refused(
                422, f"/labels/{place}/{field}: must be text of 1 to {_LONGEST}"
            )
    row = one["row"]
    if type(row) is not int or not 0 <= row < 2**31:
        raise Refused(422, f"/labels/{place}/row: must be a whole number from 0")
    return TrueLabel(one["request_id"], row, one["label"])


def _is_text(value: object) -> bool:
    # Half of a surrogate pair is no text: no database would take it.
    return (
        isinstance(value, str)
        and 1 <= len(value) <= _LONGEST
        and not any("\ud800" <= character <= "\udfff" for character in value)
        and "\0" not in value
    )


def totals_json(totals: LabelTotals) -> dict[str, object]:
    """Return sums and queue; a negative flip is a right answer lost."""
    fields = asdict(totals)
    for one in fields["wanted"]:
        # The page shows inputs; JSON is without bodies.
        del one["input"]
    return {
        "labelled": fields["flips"],
        "negative_flips": fields["live_alone_right"],
        "positive_flips": fields["shadow_alone_right"],
        "queue": fields["wanted"],
    }
