"""
The controls on the private port: POST with a key, and nothing by GET.

A browser adds no key by itself, so another site cannot use a person's; that the
body is JSON and the Origin our own is asked for besides.
"""

import hmac
import json
import re
import secrets
from pathlib import Path

from shadow_router.errors import KeysUnreadable, RunClosed
from shadow_router.files.permissions import fault_of_file, fault_of_folders
from shadow_router.http.asgi import (
    Headers,
    Receive,
    Scope,
    Send,
    problem,
    send_body,
    send_head,
)
from shadow_router.http.forwarding import read_body
from shadow_router.run.directory import fault_of, make_if_blank
from shadow_router.run.switches import Switches, SwitchState

PREFIX = "/controls/"
KEY_NAME = "control.key"
_BODY_BYTES = 1024
_LINE = re.compile(r"([A-Za-z0-9._-]{1,64}) ([!-~]{16,256})")
#: What the body of each control holds; one member of one type.
_FIELDS = {"sample-rate": "rate", "kill-switch": "killed", "close-run": "closed"}


class Refused(Exception):
    """Raised to answer with a status and a reason that quotes nothing."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def prepare_keys(directory: Path, given: Path | None) -> Path:
    """
    Return the file of keys: the given one, or one made in the data directory.

    Raises
    ------
    KeysUnreadable
        If it cannot be read or holds no key, or others may change or replace it.
    SettingsInvalid, StoreAway
        If it cannot be made.
    """
    path = given or directory / KEY_NAME
    # One in the data directory is as safe as all that is there.
    if given is not None and (fault := _fault_of_place(given)):
        raise KeysUnreadable(f"{given}: {fault}")
    if given is None:
        try:
            make_if_blank(path, f"local {secrets.token_urlsafe(32)}\n".encode("ascii"))
        except OSError as error:
            raise fault_of(error, str(path)) from None
    read_keys(path)
    return path


def _fault_of_place(path: Path) -> str:
    try:
        return fault_of_folders(path)
    except OSError as error:
        return type(error).__name__


def read_keys(path: Path) -> dict[str, str]:
    """
    Return the keys in a file by their names; each line holds one of both, or nothing.

    Raises
    ------
    KeysUnreadable
        If the file cannot be read or others may change it, or it holds no key or a
        line that is none.
    """
    try:
        if fault := fault_of_file(path):
            raise KeysUnreadable(f"{path}: {fault}")
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise KeysUnreadable(f"{path}: {type(error).__name__}") from None
    keys: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line:
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise KeysUnreadable(
                f"{path}: line {number} does not read NAME KEY with a key of "
                "16 characters or more"
            )
        keys[found[1]] = found[2]
    if not keys:
        raise KeysUnreadable(f"{path}: holds no key")
    return keys


def state_json(state: SwitchState) -> dict[str, object]:
    """Return the switches as plain values."""
    return {
        "sample_rate": state.sample_rate,
        "killed": state.is_killed,
        "closed": state.is_closed,
    }


class Controls:
    """ASGI app of the three controls."""

    def __init__(self, switches: Switches, keys: Path) -> None:
        self._switches = switches
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make one change and answer with where the switches are now."""
        try:
            who, name = self._check(scope)
            begun = await read_body(receive, _BODY_BYTES)
            if begun.is_over_cap:
                raise Refused(413, f"a body is at most {_BODY_BYTES} bytes")
            self._change(name, _value(name, begun.content), who)
        except Refused as refused:
            await refuse(send, refused)
            return
        await answer_json(send, state_json(self._switches.state))

    def _check(self, scope: Scope) -> tuple[str, str]:
        """Return who asks for which control, or refuse."""
        name = scope["path"].removeprefix(PREFIX)
        if name not in _FIELDS:
            raise Refused(404, f"there are {', '.join(_FIELDS)}")
        return check_sender(scope, self._keys), name

    def _change(self, name: str, value: float | bool, who: str) -> None:
        try:
            if name == "sample-rate":
                self._switches.set_rate(float(value), who)
            elif name == "kill-switch":
                self._switches.kill(bool(value), who)
            else:
                self._switches.close_run(who)
        except RunClosed as error:
            raise Refused(409, str(error)) from None


def check_sender(scope: Scope, path: Path) -> str:
    """
    Return the name of the key that a request to change something comes with.

    Raises
    ------
    Refused
        If it is no POST of JSON, comes from another site, or has no key of the file.
    """
    if scope["method"] != "POST":
        raise Refused(405, "changes are made by POST")
    headers = dict(scope["headers"])
    origin = headers.get(b"origin")
    if origin and origin.partition(b"://")[2] != headers.get(b"host"):
        raise Refused(403, "the request comes from another site")
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise Refused(415, "the content type must be application/json")
    return _name_of_key(headers.get(b"authorization", b""), path)


def _name_of_key(authorization: bytes, path: Path) -> str:
    scheme, _, given = authorization.partition(b" ")
    try:
        # Read anew each time: a key that is taken out of the file is out.
        keys = read_keys(path)
    except KeysUnreadable as error:
        raise Refused(503, str(error)) from None
    for name, key in keys.items():
        is_equal = hmac.compare_digest(key.encode("ascii"), given.strip())
        if is_equal and scheme.lower() == b"bearer":
            return name
    raise Refused(401, f"a key of {path} is needed: Authorization: Bearer")


def _value(name: str, body: bytes) -> float | bool:
    field = _FIELDS[name]
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(document, dict) or list(document) != [field]:
        raise Refused(422, f"the body holds {field} and nothing else")
    value: object = document[field]
    if name == "sample-rate":
        return _rate(value)
    if not isinstance(value, bool):
        raise Refused(422, f"{field} must be true or false")
    if name == "close-run" and not value:
        raise Refused(422, "closed must be true: a closed run stays closed")
    return value


def _rate(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # Also false for NaN.
        if 0 <= value <= 1:
            return float(value)
    raise Refused(422, "rate must be a number between 0 and 1")


async def answer_json(send: Send, document: dict[str, object]) -> None:
    """Answer 200 with a document."""
    body = json.dumps(document).encode()
    await _send(send, 200, [(b"content-type", b"application/json")], body)


async def refuse(send: Send, refused: Refused) -> None:
    """Answer with the status and the reason of a refusal."""
    headers, body = problem(refused.status, refused.detail)
    if refused.status == 405:
        headers.append((b"allow", b"POST"))
    elif refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await _send(send, refused.status, headers, body)


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    kept = [header for header in headers if header[0] != b"content-length"]
    kept.append((b"content-length", b"%d" % len(body)))
    await send_head(send, status, [*kept, (b"cache-control", b"no-store")])
    await send_body(send, body)
