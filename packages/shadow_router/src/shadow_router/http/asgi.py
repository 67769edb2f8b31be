"""The few shapes of ASGI that both faces of the router use."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

# `Any` because ASGI messages are dictionaries of mixed values by specification.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
#: Detail of a 421.
HOST_NOT_SERVED = "this Host is not served here; SHADOW_ROUTER_ALLOWED_HOSTS adds hosts"


async def send_head(send: Send, status: int, headers: Headers) -> None:
    """Send status and headers."""
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def send_body(send: Send, body: bytes, *, more: bool = False) -> None:
    """Send one piece of the body, the last one unless there is `more`."""
    await send({"type": "http.response.body", "body": body, "more_body": more})


def problem(status: int, detail: str = "") -> tuple[Headers, bytes]:
    """Return headers and body of an RFC 9457 answer that says no more than it must."""
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": status}
    body = json.dumps(document | {"detail": detail} if detail else document)
    headers: Headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
    ]
    return headers, body.encode("ascii")
