"""
One model call and one write for all requests that are there together.

Whatever a call costs beside the rows in it, and that is most of it, is shared. Together
means within a few turns of the event loop; nobody waits for another to arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import Any

import orjson

from iris_api.errors import InvalidInputs
from iris_api.predict.predictor import Answers, Predictor
from iris_api.schemas import Rows
from iris_api.telemetry.metrics import Metrics
from iris_api.telemetry.records import Records
from iris_api.telemetry.redaction import Redaction

# Looks at the sockets before the model is called. Without them the requests of busy
# clients come one after the other; a look that finds nothing takes microseconds.
LOOKS = 2
# More rows than this wait for the next turn, so that the loop gets to its sockets.
TURN_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Answered:
    """The model's answers to one request, on record, and what they took."""

    answers: Answers
    duration_ms: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    rows: Rows
    request_id: str
    began_ns: int
    client: str | None
    traceparent: str
    answered: asyncio.Future[Answered]


class Turn:
    """
    Answer requests together and put them on record before they are answered.

    Parameters
    ----------
    predictor : Predictor
        The model.
    records : Records
        Where each request is put on record.
    metrics : Metrics
        Where what is on record is counted.
    redaction : Redaction or None
        What to record in place of the inputs; None records their values.
    """

    def __init__(
        self,
        predictor: Predictor,
        records: Records,
        metrics: Metrics,
        redaction: Redaction | None = None,
    ) -> None:
        self._predictor = predictor
        self._records = records
        self._metrics = metrics
        self._redaction = redaction
        self._model = {"name": predictor.card.name, "version": predictor.card.version}
        self._waiting: list[_Waiting] = []

    async def predict(
        self,
        rows: Rows,
        request_id: str,
        began_ns: int,
        traceparent: str,
        client: str | None = None,
    ) -> Answered:
        """
        Return the answers to one request; when this returns they are on record.

        Parameters
        ----------
        rows : list of dict of str to float
            Exactly the model's features in each, finite; at least one row.
        request_id : str
            For the record.
        began_ns : int
            When work on the request began, by `perf_counter_ns`.
        traceparent : str
            For the record.
        client : str or None
            Name of the key that the request was sent with, for the record.

        Raises
        ------
        InvalidInputs
            If the model has no answer to a row.
        RecordNotWritten
            If the answers cannot be put on record.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._look, loop, LOOKS)
        answered: asyncio.Future[Answered] = loop.create_future()
        self._waiting.append(
            _Waiting(rows, request_id, began_ns, client, traceparent, answered)
        )
        return await answered

    def _look(self, loop: asyncio.AbstractEventLoop, times: int) -> None:
        if times:
            loop.call_soon(self._look, loop, times - 1)
        else:
            self._run(loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        together = self._take()
        if self._waiting:
            loop.call_soon(self._run, loop)
        try:
            self._answer(together)
        except InvalidInputs:
            # One of them is to blame, the others must not suffer: each on its own.
            for one in together:
                self._answer_alone(one)
        except Exception as error:
            _fail(together, error)

    def _take(self) -> list[_Waiting]:
        rows = number = 0
        for number, one in enumerate(self._waiting, 1):
            rows += len(one.rows)
            if rows >= TURN_ROWS:
                break
        taken, self._waiting = self._waiting[:number], self._waiting[number:]
        # Cancelled: the process ends, and the client has been told.
        return [one for one in taken if not one.answered.done()]

    def _answer_alone(self, one: _Waiting) -> None:
        try:
            self._answer([one])
        except Exception as error:
            _fail([one], error)

    def _answer(self, together: Sequence[_Waiting]) -> None:
        called = perf_counter_ns()
        answers = self._predictor.predict([row for one in together for row in one.rows])
        now = perf_counter_ns()
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        done, lines = [], []
        begin = 0
        for one in together:
            end = begin + len(one.rows)
            part = answers.part(begin, end)
            begin = end
            answered = Answered(part, (now - one.began_ns) // 1000 / 1000)
            done.append((one.answered, answered))
            lines.append(self._record(one, answered, time))
        self._records.write(lines)
        self._metrics.observe(answers.matrix, answers.shares, (now - called) / 1e9)
        for future, answered in done:
            future.set_result(answered)

    def _record(self, one: _Waiting, answered: Answered, time: str) -> bytes:
        record: dict[str, Any] = {
            "request_id": one.request_id,
            "traceparent": one.traceparent,
            "time": time,
            "model": self._model,
            "inputs": one.rows,
            "labels": answered.answers.labels,
            "probabilities": answered.answers.probabilities,
            "duration_ms": answered.duration_ms,
        }
        if one.client is not None:
            record["client"] = one.client
        if self._redaction is not None:
            shares = answered.answers.probabilities
            record["inputs"] = self._redaction.inputs(one.rows)
            record["probabilities"] = self._redaction.probabilities(shares)
        return orjson.dumps(record)


def _fail(together: Sequence[_Waiting], error: Exception) -> None:
    for one in together:
        one.answered.set_exception(error)
