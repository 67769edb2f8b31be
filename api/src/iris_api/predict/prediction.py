"""
``POST /v1/predict``: bytes in, bytes out, on record before it leaves.

Pure ASGI below the framework: routing, dependency injection and response models
would cost several times what validation and the model do.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter_ns

import orjson
from starlette.types import Receive, Scope

from iris_api.errors import BodyTooLarge, UnsupportedBody
from iris_api.http.http1 import parse_length
from iris_api.predict.admission import Admission
from iris_api.predict.inputs import InputParser
from iris_api.predict.predictor import Answers, Matrix
from iris_api.predict.turn import Answered, Turn
from iris_api.problems import MAX_BODY_BYTES
from iris_api.schemas import ModelCard
from iris_api.telemetry.tracing import traceparent_of

PATH = "/v1/predict"
MEDIA_TYPE = "application/json"
# Where the state of a request has the name of its key, if keys are asked for.
CLIENT = "client"

# What clients send nearly always: no need to take it apart.
_USUAL = (b"application/json", b"application/json; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Predicted:
    """A serialised answer, and the milliseconds between body and answer."""

    body: bytes
    duration_ms: float


class Prediction:
    """
    Answer prediction requests.

    Parameters
    ----------
    turn : Turn
        Answers rows, together with those of other requests.
    parser : InputParser
        Knows the rows of the same model.
    card : ModelCard
        Names the model in every answer.

    Attributes
    ----------
    admission : Admission
        Lets bodies in; one for all paths that predict.
    """

    def __init__(self, turn: Turn, parser: InputParser, card: ModelCard) -> None:
        self._turn = turn
        self._parse = parser.parse
        self._names = [feature.name for feature in card.features]
        self.admission = Admission()
        self._model = {"name": card.name, "version": card.version}

    async def answer(
        self, scope: Scope, receive: Receive, request_id: str
    ) -> Predicted:
        """
        Return the answer to a request.

        Raises
        ------
        IrisApiError
            One of those that `problems` has a status for; nothing was predicted.
        ClientGone
            If nobody waits for an answer.
        """
        check_headers(scope["headers"])
        body = await self.admission.read_body(receive)
        began_ns = perf_counter_ns()
        rows = self._parse(body)
        answered = await self._turn.predict(
            rows, request_id, began_ns, traceparent_of(scope), client_of(scope)
        )
        return Predicted(self._dump(answered.answers), answered.duration_ms)

    async def answer_matrix(
        self, matrix: Matrix, scope: Scope, request_id: str
    ) -> Answered:
        """
        Return the answers to rows that were validated already, once on record.

        Parameters
        ----------
        matrix : array of shape (n, features)
            Rows, in the model's order of features; finite, at least one.
        scope : Scope
            Of the request, for whose it is.
        request_id : str
            For the record.

        Raises
        ------
        InvalidInputs
            If the model has no answer to a row.
        RecordNotWritten
            If the answers cannot be put on record.
        """
        began_ns = perf_counter_ns()
        rows = [dict(zip(self._names, values)) for values in matrix.tolist()]
        return await self._turn.predict(
            rows, request_id, began_ns, traceparent_of(scope), client_of(scope)
        )

    def _dump(self, answers: Answers) -> bytes:
        rows = zip(answers.labels, answers.probabilities, answers.out_of_range)
        predictions = [
            {"label": label, "probabilities": shares, "out_of_range": outside}
            for label, shares, outside in rows
        ]
        return orjson.dumps({"model": self._model, "predictions": predictions})


def client_of(scope: Scope) -> str | None:
    """Return the name of the key that a request came with; None without keys."""
    client: str | None = scope["state"].get(CLIENT)
    return client


def check_headers(headers: list[tuple[bytes, bytes]]) -> None:
    """
    Raise unless the headers announce plain JSON of an acceptable size.

    Raises
    ------
    UnsupportedBody
        On another content type, charset or content encoding.
    BodyTooLarge
        If the announced length is above the cap; nothing was read.
    """
    typed = False
    for name, value in headers:
        if name == b"content-type":
            typed = value in _USUAL or is_json(value)
            if not typed:
                break
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise UnsupportedBody("send the body without Content-Encoding")
        elif name == b"content-length" and parse_length(value) > MAX_BODY_BYTES:
            raise BodyTooLarge
    if not typed:
        raise UnsupportedBody("send Content-Type: application/json, in UTF-8")


def is_json(value: bytes) -> bool:
    """Return whether a content type is JSON in UTF-8, charset stated or not."""
    kind, *parameters = (part.strip() for part in value.lower().split(b";"))
    charsets = [p for p in parameters if p.startswith(b"charset=")]
    utf8 = (b"charset=utf-8", b'charset="utf-8"')
    return kind == b"application/json" and all(c in utf8 for c in charsets)
