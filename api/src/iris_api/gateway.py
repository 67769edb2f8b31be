"""
The outermost ASGI: request ids, timing, methods, and the last word on errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter

from loguru import logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iris_api.access.access import Access
from iris_api.errors import HostNotServed, IrisApiError, RecordNotWritten, Stopping
from iris_api.hosts import HostGuard
from iris_api.lifecycle import Lifecycle
from iris_api.predict.admission import ClientGone
from iris_api.predict.prediction import MEDIA_TYPE, PATH, Prediction
from iris_api.problems import Problem, problem_of, problem_of_status
from iris_api.request_id import choose_request_id
from iris_api.telemetry.metrics import OTHER, PAGES, Metrics
from iris_api.telemetry.spans import Spans
from iris_api.v2.open_inference import OpenInference, in_protocol, is_in_protocol

_JSON = (b"content-type", MEDIA_TYPE.encode())
_NOTHING_PREDICTED = (b"server-timing", b"predict;dur=0")
_CLOSE = (b"connection", b"close")


Handle = Callable[[Scope, Receive, str, "_Answer"], Awaitable[None]]


class Gateway:
    """
    The application that the server calls.

    Predictions go straight to the hot path, everything else to the framework.

    Parameters
    ----------
    prediction : Prediction
        The hot path.
    open_inference : OpenInference
        What is under ``/v2``.
    app : ASGI application
        Everything else.
    lifecycle : Lifecycle
        While draining, every answer closes its connection.
    metrics : Metrics
        Where every answer is counted.
    access : Access or None
        Decides who is let in; None for everybody, everywhere.
    spans : Spans or None
        Where each request gets a span; None for none.
    guards : mapping of int to HostGuard
        By port: which hosts are answered for where not all are.
    """

    def __init__(
        self,
        prediction: Prediction,
        open_inference: OpenInference,
        app: ASGIApp,
        lifecycle: Lifecycle,
        metrics: Metrics,
        access: Access | None = None,
        spans: Spans | None = None,
        guards: Mapping[int, HostGuard] | None = None,
    ) -> None:
        self._prediction = prediction
        self._open_inference = open_inference
        self._app = app
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._access = access
        self._spans = spans
        self._guards = guards or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request_id = choose_request_id(scope["headers"])
        answer = _Answer(scope, send, request_id, self._lifecycle, self._metrics)
        span = None if self._spans is None else self._spans.begin(scope)
        try:
            handle = self._choose(scope["path"], answer)
            guard = self._guards.get(scope["server"][1])
            if guard is not None and guard.refuses(scope):
                raise HostNotServed
            if self._access is not None:
                self._access.check(scope)
            await handle(scope, receive, request_id, answer)
        except ClientGone:
            return
        except IrisApiError as error:
            await self._refuse(error, request_id, answer)
        except asyncio.CancelledError:
            # The server's grace time is over; tell the client, if it can be told.
            await answer.refuse(problem_of(Stopping()))
        except Exception:
            logger.opt(exception=True).error("request {} failed", request_id)
            await answer.refuse(problem_of_status(500, {}))
        finally:
            self._lifecycle.answered += 1
            if span is not None:
                span.end(scope["method"], answer.route, answer.status)

    def _choose(self, path: str, answer: _Answer) -> Handle:
        if path == PATH:
            answer.route = PATH
            return self._predict
        if is_in_protocol(path):
            answer.translate = in_protocol
            return self._infer
        return self._pass_on

    async def _predict(
        self, scope: Scope, receive: Receive, request_id: str, answer: _Answer
    ) -> None:
        if scope["method"] != "POST":
            await answer.refuse_method(scope["method"], "OPTIONS, POST")
            return
        done = await self._prediction.answer(scope, receive, request_id)
        timing = b"predict;dur=%.3f" % done.duration_ms
        await answer.send_whole(200, [_JSON, (b"server-timing", timing)], done.body)

    async def _infer(
        self, scope: Scope, receive: Receive, request_id: str, answer: _Answer
    ) -> None:
        endpoint = self._open_inference.find(scope["path"])
        if endpoint is None:
            await answer.refuse(problem_of_status(404, {}))
            return
        answer.route = endpoint.route
        if scope["method"] not in endpoint.methods:
            await answer.refuse_method(scope["method"], endpoint.allow)
            return
        done = await endpoint.answer(scope, receive, request_id)
        await answer.send_whole(200, done.headers, done.body)

    async def _refuse(
        self, error: IrisApiError, request_id: str, answer: _Answer
    ) -> None:
        self._metrics.observe_refusal(error)
        if isinstance(error, RecordNotWritten):
            logger.error("record of {} not written: {}", request_id, error)
        await answer.refuse(problem_of(error))

    async def _pass_on(
        self, scope: Scope, receive: Receive, request_id: str, answer: _Answer
    ) -> None:
        scope["state"]["request_id"] = request_id
        if scope["method"] == "HEAD":
            # What answers GET answers HEAD; the server leaves the body out.
            scope = {**scope, "method": "GET"}

        async def pass_through(message: Message) -> None:
            answer.route = name_route(scope)
            await answer.pass_through(message)

        await self._app(scope, receive, pass_through)


def _as_it_is(problem: Problem) -> Problem:
    return problem


class _Answer:
    """
    One answer: sent at most once, with the headers that all answers have, and counted.

    Attributes
    ----------
    status : int
        HTTP status once it is under way, 0 before.
    route : str
        Template of the route that was chosen; `OTHER` for none.
    translate : callable
        Turns a problem into what is sent in its place.
    """

    # Of the class, because most answers never change them.
    status = 0
    route = OTHER
    translate = staticmethod(_as_it_is)

    def __init__(
        self,
        scope: Scope,
        send: Send,
        request_id: str,
        lifecycle: Lifecycle,
        metrics: Metrics,
    ) -> None:
        self._began = perf_counter()
        self._method = scope["method"]
        self._send = send
        self._request_id = request_id
        self._lifecycle = lifecycle
        self._metrics = metrics

    async def send_whole(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Send an answer that is complete."""
        self.status = status
        if status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        headers.append((b"x-request-id", self._request_id.encode()))
        if self._lifecycle.draining:
            headers.append(_CLOSE)
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})
        self._count()

    async def refuse(self, problem: Problem) -> None:
        """Send a problem, unless an answer is under way."""
        if self.status:
            return
        problem = self.translate(problem)
        kind = (b"content-type", problem.media_type.encode())
        headers = [kind, _NOTHING_PREDICTED]
        for name, value in problem.headers.items():
            headers.append((name.lower().encode(), value.encode()))
        await self.send_whole(problem.status, headers, problem.body(self._request_id))

    async def refuse_method(self, method: str, allow: str) -> None:
        """Say which methods a path takes."""
        if method == "OPTIONS":
            headers = [_NOTHING_PREDICTED, (b"allow", allow.encode())]
            await self.send_whole(204, headers, b"")
        else:
            await self.refuse(problem_of_status(405, {"Allow": allow}))

    async def pass_through(self, message: Message) -> None:
        """Forward the framework's answer, adding our headers to it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            added = (b"x-request-id", self._request_id.encode())
            headers = [*message["headers"], added, _NOTHING_PREDICTED]
            if self._lifecycle.draining:
                headers.append(_CLOSE)
            message = {**message, "headers": headers}
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._count()

    def _count(self) -> None:
        # Here, and not when all is done: the client may ask for the counts by then.
        seconds = perf_counter() - self._began
        self._metrics.observe_request(self._method, self.route, self.status, seconds)


def name_route(scope: Scope) -> str:
    """Return what the route that the framework chose is called in the metrics."""
    route = scope.get("route")
    if getattr(route, "include_in_schema", False):
        path: str = route.path  # type: ignore[union-attr]
        return path
    # It leaves no route, but an endpoint, for what is mounted.
    return PAGES if "endpoint" in scope else OTHER
