"""Requests of one turn share a model call and a write, and nothing else."""

import asyncio
import json
import random

import pytest
from api_fakes import WineModel
from api_server import ROW

import iris_model
from iris_api.errors import InvalidInputs, RecordNotWritten
from iris_api.predict.predictor import MULTIPLE, Predictor
from iris_api.predict.turn import TURN_ROWS, Turn
from iris_api.telemetry.metrics import Metrics

WINE = {name: 1.0 for name in WineModel.feature_names}
EXTREME = {**WINE, "ash": 1e301}


class CountingModel(WineModel):
    """The wine model, counting what it is asked."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def probabilities(self, matrix):
        """Note the number of rows, then answer."""
        self.calls.append(len(matrix))
        return super().probabilities(matrix)


class Kept:
    """Records in a list, or none at all when the disk is full."""

    def __init__(self, full=False):
        self.writes = []
        self._full = full

    def write(self, lines):
        """Keep what one write holds."""
        if self._full:
            raise RecordNotWritten("No space left on device")
        self.writes.append([json.loads(line)["request_id"] for line in lines])


def build_turn(model, kept):
    """Return a turn whose counts nobody reads."""
    predictor = Predictor(model)
    return Turn(predictor, kept, Metrics(predictor.card))


def predict_together(turn, requests):
    """Return answers or errors of requests that arrive in one turn."""

    async def ask():
        asked = [
            turn.predict(rows, str(number), 0, "")
            for number, rows in enumerate(requests)
        ]
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(ask())


def test_turn_asks_the_model_once_when_several_requests_are_there():
    model, kept = CountingModel(), Kept()
    found = predict_together(
        build_turn(model, kept), [[WINE], [WINE] * 4, [{**WINE, "alcohol": -1.0}]]
    )
    assert model.calls == [MULTIPLE]
    assert kept.writes == [["0", "1", "2"]]
    labels = [answered.answers.labels for answered in found]
    assert labels == [["barolo"], ["barolo"] * 4, ["grignolino"]]


def test_turn_refuses_one_request_alone_when_the_model_has_no_answer_to_it():
    kept = Kept()
    found = predict_together(
        build_turn(CountingModel(), kept), [[WINE], [WINE, EXTREME], [WINE]]
    )
    assert isinstance(found[1], InvalidInputs)
    assert [fault.pointer for fault in found[1].faults] == ["/inputs/1"]
    assert (found[1].more, kept.writes) == (0, [["0"], ["2"]])
    assert found[0].answers.labels == found[2].answers.labels == ["barolo"]


def test_turn_names_each_row_once_when_the_first_of_a_request_is_refused():
    # The rows that fill up the matrix are copies of the first.
    (refused,) = predict_together(build_turn(CountingModel(), Kept()), [[EXTREME]])
    assert ([f.pointer for f in refused.faults], refused.more) == (["/inputs/0"], 0)


def test_turn_answers_nobody_when_records_cannot_be_written():
    turn = build_turn(CountingModel(), Kept(full=True))
    found = predict_together(turn, [[WINE], [WINE]])
    assert [type(error) for error in found] == [RecordNotWritten] * 2


def test_turn_fails_every_request_when_something_unforeseen_happens():
    class Broken(CountingModel):
        def probabilities(self, matrix):
            raise ZeroDivisionError

    found = predict_together(build_turn(Broken(), Kept()), [[WINE], [WINE]])
    assert [type(error) for error in found] == [ZeroDivisionError] * 2


def test_turn_leaves_rows_to_the_next_when_there_are_too_many():
    model, kept = CountingModel(), Kept()
    many = [[WINE] * (TURN_ROWS - 8), [WINE] * 8, [WINE]]
    found = predict_together(build_turn(model, kept), many)
    assert kept.writes == [["0", "1"], ["2"]]
    assert model.calls == [TURN_ROWS, MULTIPLE]
    assert [len(one.answers.labels) for one in found] == [TURN_ROWS - 8, 8, 1]


def test_turn_records_nothing_of_a_request_when_it_was_cancelled_before():
    kept = Kept()
    turn = build_turn(CountingModel(), kept)

    async def cancel_one():
        first, second = (
            asyncio.ensure_future(turn.predict([WINE], name, 0, "")) for name in "ab"
        )
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(cancel_one()).answers.labels == ["barolo"]
    assert kept.writes == [["b"]]


@pytest.mark.slow(after=4)
@pytest.mark.parametrize("company", [1, 2, 3, 5, 8, 31, 999])
def test_answer_has_the_same_bits_when_other_rows_are_beside_it(company):
    # Without rows to fill up with, about one answer in ten differs in its last bit.
    predictor = Predictor(iris_model.load())
    random_ = random.Random(1936)
    rows = [
        {name: round(random_.uniform(0.1, 9), 1) for name in ROW} for _ in range(100)
    ]
    alone = [predictor.predict([row]).probabilities[0] for row in rows]
    places = [random_.randrange(company) for _ in rows]
    for row, expected, place in zip(rows, alone, places):
        among = random_.choices(rows, k=company)
        among[place] = row
        assert predictor.predict(among).probabilities[place] == expected
