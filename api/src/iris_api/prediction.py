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

from iris_api.admission import Admission
from iris_api.errors import BodyTooLarge, UnsupportedBody
from iris_api.inputs import InputParser
from iris_api.predictor import Predictor
from iris_api.problems import MAX_BODY_BYTES
from iris_api.records import Records
from iris_api.schemas import Schemas

PATH = "/v1/predict"
MEDIA_TYPE = "application/json"

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
    predictor : Predictor
        The model.
    schemas : Schemas
        Built from the same model.
    records : Records
        Where each request is put on record.
    """

    def __init__(
        self, predictor: Predictor, schemas: Schemas, records: Records
    ) -> None:
        card = predictor.card
        self._predictor = predictor
        self._parser = InputParser(schemas.request, [f.name for f in card.features])
        self._dump_answer = schemas.answer.serializer.to_json
        self._dump_record = schemas.record.serializer.to_json
        self._records = records
        self._admission = Admission()
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
        body = await self._admission.read_body(receive)
        predicted, record = self._predict(body, request_id)
        await self._records.write(record)
        return predicted

    def _predict(self, body: bytes, request_id: str) -> tuple[Predicted, str]:
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
        record = {
            "request_id": request_id,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "model": self._model,
            "inputs": rows,
            "labels": answers.labels,
            "probabilities": answers.probabilities,
            "duration_ms": duration_ms,
        }
        return Predicted(answer, duration_ms), self._dump_record(record).decode()


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
