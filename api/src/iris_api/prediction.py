"""
``POST /v1/predict``: bytes in, bytes out, on record before it leaves.

Pure ASGI below the framework: routing, dependency injection and response models
would cost several times what validation and the model do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter_ns

from starlette.types import Receive, Scope

from iris_api.errors import BodyTooLarge, UnsupportedBody
from iris_api.inputs import InputParser
from iris_api.metrics import Metrics
from iris_api.predictor import Answers, Matrix, Predictor
from iris_api.problems import MAX_BODY_BYTES
from iris_api.records import Records
from iris_api.schemas import Rows, Schemas

PATH = "/v1/predict"
MEDIA_TYPE = "application/json"

# What clients send nearly always: no need to take it apart.
_USUAL = (b"application/json", b"application/json; charset=utf-8")


class ClientGone(Exception):
    """Raised when the client left before its request was complete."""


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
    predictor : Predictor
        The model.
    schemas : Schemas
        Built from the same model.
    records : Records
        Where each request is put on record.
    metrics : Metrics
        Where what is on record is counted.
    """

    def __init__(
        self,
        predictor: Predictor,
        schemas: Schemas,
        records: Records,
        metrics: Metrics,
    ) -> None:
        card = predictor.card
        self._predictor = predictor
        self._metrics = metrics
        self._names = [f.name for f in card.features]
        self._parser = InputParser(schemas.request, self._names)
        self._dump_answer = schemas.answer.serializer.to_json
        self._dump_record = schemas.record.serializer.to_json
        self._records = records
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
        body = await read_body(receive)
        began = perf_counter_ns()
        rows = self._parser.parse(body)
        answers = self._predictor.predict(rows)
        predictions = [
            {"label": label, "probabilities": shares, "out_of_range": outside}
            for label, shares, outside in zip(
                answers.labels, answers.probabilities, answers.out_of_range
            )
        ]
        answer = self._dump_answer({"model": self._model, "predictions": predictions})
        duration_ms = (perf_counter_ns() - began) // 1000 / 1000
        await self._records.write(self._record(request_id, rows, answers, duration_ms))
        self._metrics.observe(answers.matrix, answers.shares, duration_ms / 1000)
        return Predicted(answer, duration_ms)

    async def answer_matrix(self, matrix: Matrix, request_id: str) -> Answers:
        """
        Return the answers to rows that were validated already, once on record.

        Parameters
        ----------
        matrix : array of shape (n, features)
            Rows, in the model's order of features; finite, at least one.
        request_id : str
            For the record.

        Raises
        ------
        InvalidInputs
            If the model has no answer to a row.
        RecordNotWritten
            If the answers cannot be put on record.
        """
        began = perf_counter_ns()
        answers = self._predictor.predict_matrix(matrix)
        duration_ms = (perf_counter_ns() - began) // 1000 / 1000
        rows = [dict(zip(self._names, values)) for values in matrix.tolist()]
        await self._records.write(self._record(request_id, rows, answers, duration_ms))
        self._metrics.observe(answers.matrix, answers.shares, duration_ms / 1000)
        return answers

    def _record(
        self, request_id: str, rows: Rows, answers: Answers, duration_ms: float
    ) -> str:
        record = {
            "request_id": request_id,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "model": self._model,
            "inputs": rows,
            "labels": answers.labels,
            "probabilities": answers.probabilities,
            "duration_ms": duration_ms,
        }
        return self._dump_record(record).decode()


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
        elif name == b"content-length" and int(value) > MAX_BODY_BYTES:
            raise BodyTooLarge
    if not typed:
        raise UnsupportedBody("send Content-Type: application/json, in UTF-8")


def is_json(value: bytes) -> bool:
    """Return whether a content type is JSON in UTF-8, charset stated or not."""
    kind, *parameters = value.lower().replace(b" ", b"").split(b";")
    charsets = [p for p in parameters if p.startswith(b"charset=")]
    utf8 = (b"charset=utf-8", b'charset="utf-8"')
    return kind == b"application/json" and all(c in utf8 for c in charsets)


async def read_body(receive: Receive) -> bytes:
    """
    Return the whole body, never holding more than the cap and one chunk.

    Raises
    ------
    BodyTooLarge
        As soon as the cap is passed, whatever length was announced.
    ClientGone
        If the client leaves first.
    """
    chunks = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        chunk: bytes = message["body"]
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge
        chunks.append(chunk)
        if not message["more_body"]:
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
