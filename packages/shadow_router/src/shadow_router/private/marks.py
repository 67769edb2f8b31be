"""Marking discrepancies as known on the private port: POST with a control key."""

import json
from pathlib import Path

from loguru import logger

from shadow_router.errors import KnownInvalid
from shadow_router.findings.known import Known, note_known
from shadow_router.http.asgi import Receive, Scope, Send
from shadow_router.http.forwarding import read_body
from shadow_router.private.controls import Refused, answer_json, check_sender, refuse

PATH = "/known"
_BODY_BYTES = 16 * 1024


class Marks:
    """
    ASGI app that takes entries of known discrepancies.

    Parameters
    ----------
    keys : Path
        The file of control keys.
    directory : Path
        The data directory.
    """

    def __init__(self, keys: Path, directory: Path) -> None:
        self._keys = keys
        self._directory = directory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note one entry, and answer with it."""
        try:
            who = check_sender(scope, self._keys)
            begun = await read_body(receive, _BODY_BYTES)
            if begun.is_over_cap:
                raise Refused(413, f"a body is at most {_BODY_BYTES} bytes")
            fields = parse_mark(begun.content)
            note_known(self._directory, fields)
        except KnownInvalid as error:
            await refuse(send, Refused(422, str(error)))
        except Refused as refused:
            await refuse(send, refused)
        else:
            logger.info("{} marked discrepancies as known", who)
            await answer_json(send, {"known": fields})


def parse_mark(body: bytes) -> dict[str, str]:
    """
    Return the fields of an entry, which `note_known` checks.

    Raises
    ------
    Refused
        If it is not a JSON object of texts with these names.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    names = set(Known.model_fields)
    if not isinstance(document, dict) or not document.keys() <= names:
        raise Refused(422, f"the body holds {', '.join(Known.model_fields)} alone")
    if not all(isinstance(value, str) for value in document.values()):
        raise Refused(422, "every field must be text")
    return document
