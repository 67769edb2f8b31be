"""
The outermost ASGI: request ids, timing, methods, and the last word on errors.
"""

from __future__ import annotations

import asyncio
import re
from random import getrandbits

from loguru import logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iris_api.access import Access
from iris_api.errors import IrisApiError, RecordNotWritten, Stopping
from iris_api.prediction import MEDIA_TYPE, PATH, ClientGone, Prediction
from iris_api.problems import MEDIA_TYPE as PROBLEM_TYPE
from iris_api.problems import Problem, problem_of, problem_of_status
from iris_api.routes import Lifecycle

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,128}").fullmatch

_JSON = (b"content-type", MEDIA_TYPE.encode())
_PROBLEM = (b"content-type", PROBLEM_TYPE.encode())
_NOTHING_PREDICTED = (b"server-timing", b"predict;dur=0")
_CLOSE = (b"connection", b"close")


class Gateway:
    """
    The application that the server calls.

    Predictions go straight to the hot path, everything else to the framework.

    Parameters
    ----------
    prediction : Prediction
        The hot path.
    app : ASGI application
        Everything else.
    lifecycle : Lifecycle
        While draining, every answer closes its connection.
    access : Access or None
        Decides who is let in; None for everybody, everywhere.
    """

    def __init__(
        self,
        prediction: Prediction,
        app: ASGIApp,
        lifecycle: Lifecycle,
        access: Access | None = None,
    ) -> None:
        self._prediction = prediction
        self._app = app
        self._lifecycle = lifecycle
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request_id = choose_request_id(scope["headers"])
        answer = _Answer(send, request_id, self._lifecycle)
        try:
            if self._access is not None:
                self._access.check(scope)
            if scope["path"] == PATH:
                await self._predict(scope, receive, request_id, answer)
            else:
                await self._pass_on(scope, receive, request_id, answer)
        except ClientGone:
            return
        except IrisApiError as error:
            await answer.refuse(problem_of(error))
        except asyncio.CancelledError:
            # The server's grace time is over; tell the client, if it can be told.
            await answer.refuse(problem_of(Stopping()))
        except Exception:
            logger.opt(exception=True).error("request {} failed", request_id)
            await answer.refuse(problem_of_status(500, {}))
        finally:
            self._lifecycle.answered += 1

    async def _predict(
        self, scope: Scope, receive: Receive, request_id: str, answer: _Answer
    ) -> None:
        if scope["method"] != "POST":
            await answer.refuse_method(scope["method"])
            return
        try:
            done = await self._prediction.answer(scope, receive, request_id)
        except IrisApiError as error:
            if isinstance(error, RecordNotWritten):
                logger.error("record of {} not written: {}", request_id, error)
            await answer.refuse(problem_of(error))
            return
        timing = b"predict;dur=%.3f" % done.duration_ms
        await answer.send_whole(200, [_JSON, (b"server-timing", timing)], done.body)

    async def _pass_on(
        self, scope: Scope, receive: Receive, request_id: str, answer: _Answer
    ) -> None:
        scope["state"]["request_id"] = request_id
        if scope["method"] == "HEAD":
            # What answers GET answers HEAD; the server leaves the body out.
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, answer.pass_through)


class _Answer:
    """One answer: sent at most once, with the headers that all answers have."""

    def __init__(self, send: Send, request_id: str, lifecycle: Lifecycle) -> None:
        self._send = send
        self._request_id = request_id
        self._lifecycle = lifecycle
        self._started = False

    async def send_whole(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Send an answer that is complete."""
        self._started = True
        if status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        headers.append((b"x-request-id", self._request_id.encode()))
        if self._lifecycle.draining:
            headers.append(_CLOSE)
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, problem: Problem) -> None:
        """Send a problem, unless an answer is under way."""
        if self._started:
            return
        headers = [_PROBLEM, _NOTHING_PREDICTED]
        for name, value in problem.headers.items():
            headers.append((name.lower().encode(), value.encode()))
        await self.send_whole(problem.status, headers, problem.body(self._request_id))

    async def refuse_method(self, method: str) -> None:
        """Say which methods predicting takes."""
        allow = {"Allow": "OPTIONS, POST"}
        if method == "OPTIONS":
            headers = [_NOTHING_PREDICTED, (b"allow", allow["Allow"].encode())]
            await self.send_whole(204, headers, b"")
        else:
            await self.refuse(problem_of_status(405, allow))

    async def pass_through(self, message: Message) -> None:
        """Forward the framework's answer, adding our headers to it."""
        if message["type"] == "http.response.start":
            self._started = True
            added = (b"x-request-id", self._request_id.encode())
            headers = [*message["headers"], added, _NOTHING_PREDICTED]
            if self._lifecycle.draining:
                headers.append(_CLOSE)
            message = {**message, "headers": headers}
        await self._send(message)


def choose_request_id(headers: list[tuple[bytes, bytes]]) -> str:
    """Return the client's request id if it is well-formed, else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _WELL_FORMED(value):
            return value.decode()
    # Unique, not secret: a system call for each would be felt.
    return f"{getrandbits(64):016x}"
