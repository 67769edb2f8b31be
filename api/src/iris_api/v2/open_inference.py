"""
The Open Inference Protocol, version 2, under ``/v2``: for clients that speak it.

The same model, limits and records as ``/v1/predict``; one process serves one model.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns

from starlette.types import Receive, Scope

from iris_api.errors import (
    BodyTooLarge,
    Fault,
    InvalidInputs,
    UnknownModel,
    UnsupportedBody,
)
from iris_api.http.http1 import parse_length
from iris_api.lifecycle import Lifecycle
from iris_api.predict.prediction import MEDIA_TYPE, Prediction, is_json
from iris_api.predict.predictor import Predictor
from iris_api.predict.readiness import check_ready
from iris_api.problems import MAX_BODY_BYTES, Problem
from iris_api.v2.inference import (
    SERVER,
    describe_model,
    parse_inference,
    serialise_answers,
)
from iris_api.v2.tensors import refusal

ROOT = "/v2"

_MODEL = "/v2/models/{name}"
_READ = ("GET", "HEAD")

_BINARY = "application/octet-stream"
_LENGTH = b"inference-header-content-length"
_JSON = (b"content-type", MEDIA_TYPE.encode())
_NOTHING_PREDICTED = (b"server-timing", b"predict;dur=0")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with status 200."""

    headers: list[tuple[bytes, bytes]]
    body: bytes


Answer = Callable[[Scope, Receive, str], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    What answers at a path.

    Attributes
    ----------
    route : str
        Its template, for the metrics.
    methods : tuple of str
        Those it takes, apart from OPTIONS.
    answer : callable
        Takes scope, receive and request id; raises IrisApiError.
    """

    route: str
    methods: tuple[str, ...]
    answer: Answer

    @property
    def allow(self) -> str:
        """The methods, as in an Allow header."""
        return ", ".join(sorted((*self.methods, "OPTIONS")))


class OpenInference:
    """
    The endpoints of the protocol for one model.

    Parameters
    ----------
    prediction : Prediction
        Answers rows and puts them on record.
    predictor : Predictor
        The model.
    lifecycle : Lifecycle
        Decides on readiness.
    """

    def __init__(
        self, prediction: Prediction, predictor: Predictor, lifecycle: Lifecycle
    ) -> None:
        self._prediction = prediction
        self._predictor = predictor
        self._lifecycle = lifecycle
        self._card = predictor.card
        self._features = tuple(feature.name for feature in self._card.features)
        self._endpoints = self._build_endpoints()

    def find(self, path: str) -> Endpoint | None:
        """
        Return what answers at a path below `ROOT`.

        Raises
        ------
        UnknownModel
            If the path names a model or a version that is not served here.
        """
        endpoint = self._endpoints.get(path)
        if endpoint is None and path.startswith("/v2/models/"):
            raise UnknownModel(
                f"the one model here is {self._card.name}, "
                f"its one version {self._card.version}; see /docs for the paths"
            )
        return endpoint

    def _build_endpoints(self) -> dict[str, Endpoint]:
        card = self._card
        endpoints = {
            path: Endpoint(path, _READ, answer)
            for path, answer in (
                ("/v2", _always(SERVER)),
                ("/v2/health/live", _always({"live": True})),
                ("/v2/health/ready", self._when_ready({"ready": True})),
            )
        }
        endpoints["/v2/"] = endpoints["/v2"]
        model_ready = self._when_ready({"name": card.name, "ready": True})
        metadata = Endpoint(_MODEL, _READ, _always(describe_model(card)))
        ready = Endpoint(f"{_MODEL}/ready", _READ, model_ready)
        infer = Endpoint(f"{_MODEL}/infer", ("POST",), self._infer)
        name = f"/v2/models/{card.name}"
        for model in (name, f"{name}/versions/{card.version}"):
            endpoints[model] = metadata
            endpoints[f"{model}/ready"] = ready
            endpoints[f"{model}/infer"] = infer
        return endpoints

    def _when_ready(self, document: Mapping[str, object]) -> Answer:
        always = _always(document)

        async def answer(scope: Scope, receive: Receive, request_id: str) -> Reply:
            check_ready(self._predictor, self._lifecycle)
            return await always(scope, receive, request_id)

        return answer

    async def _infer(self, scope: Scope, receive: Receive, request_id: str) -> Reply:
        json_bytes = check_headers(scope["headers"])
        body = await self._prediction.admission.read_body(receive)
        if json_bytes is not None and json_bytes > len(body):
            raise refusal("", "Inference-Header-Content-Length exceeds the body")
        began = perf_counter_ns()
        inference = parse_inference(body, json_bytes, self._features)
        try:
            answered = await self._prediction.answer_matrix(
                inference.matrix, scope, request_id
            )
        except InvalidInputs as error:
            raise _in_rows(error) from None
        name, version = self._card.name, self._card.version
        document, rest = serialise_answers(inference, name, version, answered.answers)
        timing = b"predict;dur=%.3f" % ((perf_counter_ns() - began) / 1e6)
        headers = [_JSON, (b"server-timing", timing)]
        if rest:
            headers[0] = (b"content-type", _BINARY.encode())
            headers.append((_LENGTH, b"%d" % len(document)))
        return Reply(headers, document + rest)


def _always(document: Mapping[str, object]) -> Answer:
    body = json.dumps(document, separators=(",", ":")).encode()

    async def answer(scope: Scope, receive: Receive, request_id: str) -> Reply:
        return Reply([_JSON, _NOTHING_PREDICTED], body)

    return answer


def check_headers(headers: list[tuple[bytes, bytes]]) -> int | None:
    """
    Return the length of the JSON in front of binary values, if there are some.

    A body without a content type is taken: clients of the protocol send it so.

    Raises
    ------
    UnsupportedBody
        On another content type or a content encoding.
    InvalidInputs
        If the length is none.
    BodyTooLarge
        If the announced length is above the cap; nothing was read.
    """
    found = dict(headers)
    if found.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedBody("send the body without Content-Encoding")
    if parse_length(found.get(b"content-length", b"0")) > MAX_BODY_BYTES:
        raise BodyTooLarge
    length = found.get(_LENGTH)
    kind = found.get(b"content-type", _JSON[1])
    if not is_json(kind) and (length is None or kind.lower() != _BINARY.encode()):
        raise UnsupportedBody(
            f"send Content-Type: application/json, or {_BINARY} "
            "with Inference-Header-Content-Length"
        )
    if length is None:
        return None
    # So many digits are enough for the cap; int() would take signs and spaces.
    if not length.isdigit() or len(length) > 6:
        raise refusal("", "Inference-Header-Content-Length is not a length")
    return int(length)


def _in_rows(error: InvalidInputs) -> InvalidInputs:
    # The model counts rows of /v1/predict; a tensor has no place for one.
    faults = tuple(
        Fault("", f"row {fault.pointer.split('/')[2]}: {fault.detail}", fault.reason)
        for fault in error.faults
    )
    return InvalidInputs(faults, error.more)


def is_in_protocol(path: str) -> bool:
    """Return whether a path is the protocol's to answer."""
    return path.startswith(ROOT) and path[len(ROOT) : len(ROOT) + 1] in ("", "/")


class _ProtocolProblem(Problem):
    """A problem as the protocol puts it: one text under ``error``."""

    @property
    def media_type(self) -> str:
        return MEDIA_TYPE

    def encode(self, request_id: str, shown: list[Fault], more: int) -> bytes:
        parts = [f"{fault.pointer} {fault.detail}".strip() for fault in shown]
        if more:
            parts.append(f"{more} more")
        # "see errors" is said to those who get a list of them.
        text = self.detail.removesuffix("; see errors")
        if parts:
            text += ": " + "; ".join(parts)
        return json.dumps({"error": text}, separators=(",", ":")).encode()


def in_protocol(problem: Problem) -> Problem:
    """Return a problem in the protocol's words: its one status for bad input is 400."""
    status = 400 if problem.status == 422 else problem.status
    return _ProtocolProblem(
        status, problem.detail, problem.faults, problem.more, problem.headers
    )
