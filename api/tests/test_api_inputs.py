"""Reading bodies, in this process: exact numbers, and time linear in the length."""

import json
import math
import random
import struct
from decimal import Decimal, getcontext
from time import process_time

import pytest
from api_server import ROW

from iris_api.errors import InvalidInputs, IrisApiError
from iris_api.predict.inputs import InputParser
from iris_api.predict.predictor import load_predictor
from iris_api.problems import problem_of
from iris_api.schemas import build_schemas

CAP = 256 * 1024
GOOD = json.dumps(ROW)
PARSER = InputParser(build_schemas(load_predictor().card).request, list(ROW))

# Documents of any length, by the piece that they repeat; %d makes pieces differ.
PIECES = {
    "unknown at the top": ("{", '"k%d":1', "}"),
    "one unknown again and again": ("{", '"":1', "}"),
    "unknown in a row": ('{"inputs":[{', '"k%d":1', "}]}"),
    "nearly known": ('{"inputs":[{', '"petal_lenght_cm_%d":1', "}]}"),
    "long and nearly known": ('{"inputs":[{', f'"{"petal_length_cm" * 4}%d":1', "}]}"),
    "too long": ("{", f'"{"k" * 1000}%d":1', "}"),
    "not ASCII": ("{", f'"{chr(0x1F600) * 60}%d":1', "}"),
    "repeated at the top": ("{", f'"inputs":[{GOOD}]', "}"),
    "repeated in a row": ('{"inputs":[{', GOOD[1:-1], "}]}"),
    "hidden behind another": ('{"inputs":[', '{"%d":[]}', f'],"inputs":[{GOOD}]}}'),
    "hidden deep": (
        '{"inputs":' + f'{{"{chr(0x1F600) * 60}":' * 190 + "{",
        '"k%d":1,"k%d":2',
        "}" * 191 + f',"inputs":[{GOOD}]}}',
    ),
    "no rows but numbers": ('{"inputs":[', "1", "]}"),
    "rows without fields": ('{"inputs":[', "{}", "]}"),
    "long whole numbers": ('{"inputs":[{"a":[', "9" * 4300, "]}]}"),
    "long fractions": ('{"inputs":[', GOOD.replace("0.2", "0." + "3" * 900), "]}"),
    "lists in lists": ('{"inputs":[', "[" * 90 + "]" * 90, "]}"),
    "objects in objects": ('{"inputs":[', '{"":' * 90 + "1" + "}" * 90, "]}"),
    "lists of lists": ('{"k":[', "[]", "]}"),
    "escapes": ('{"inputs":"', r"\u00e9", '"}'),
}


def fill(start, piece, end, size):
    """Return a document of at most a size that repeats a piece."""
    pieces, length = [], len(start) + len(end)
    while True:
        text = piece.replace("%d", str(len(pieces)))
        length += len(text.encode()) + 1
        if length > size:
            return (start + ",".join(pieces) + end).encode()
        pieces.append(text)


def measure(work):
    """Return the seconds that a piece of work takes at its best."""
    times = []
    for _ in range(5):
        began = process_time()
        work()
        times.append(process_time() - began)
    return min(times)


def grows_too_fast(work, build, size):
    """Return whether sixteen times the length takes far more than sixteen times."""
    small, large = build(size // 16), build(size)
    # Linear work gives 16, and with the caches of a machine 30; quadratic gives 256.
    return measure(lambda: work(large)) > 90 * measure(lambda: work(small)) + 0.002


def refuse(body):
    """Parse a body and render what is wrong with it, as the server does."""
    try:
        PARSER.parse(body)
    except IrisApiError as error:
        problem_of(error).body("request")


@pytest.mark.parametrize("name", PIECES)
def test_parsing_is_linear_when_a_document_repeats(name):
    def build(size):
        return fill(*PIECES[name], size)

    assert not grows_too_fast(refuse, build, CAP)


@pytest.mark.slow
def test_quadratic_work_is_noticed_when_there_is_some():
    def compare_all(body):
        names = body.split(b",")
        return [names.count(name) for name in names]

    def build(size):
        return fill(*PIECES["unknown at the top"], size)

    assert grows_too_fast(compare_all, build, CAP // 8)


def build_parser(names):
    """Return a parser for a model of other features."""
    card = load_predictor().card
    features = [card.features[0].model_copy(update={"name": name}) for name in names]
    other = card.model_copy(update={"features": features})
    return InputParser(build_schemas(other).request, names)


@pytest.mark.parametrize(("count", "expected"), [(4, 20), (30, 10), (400, 1)])
def test_work_on_proposals_is_bounded_when_a_model_has_many_features(count, expected):
    names = [f"{'measurement_' * 4}{number:04d}" for number in range(count)]
    unknown = [f"{names[0]}{number}" for number in range(30)]
    body = json.dumps({"inputs": [dict.fromkeys([*names, *unknown], 1.0)]}).encode()
    with pytest.raises(InvalidInputs) as raised:
        build_parser(names).parse(body)
    proposals = [fault for fault in raised.value.faults if "did you" in fault.detail]
    assert len(proposals) == expected


def test_full_request_is_taken_when_names_are_full_of_brackets():
    row = {"[{[": 1.0, "{{{{": 2.0, '""""': 3.0}
    body = json.dumps({"inputs": [row] * 1_000}).encode()
    assert build_parser(list(row)).parse(body) == [row] * 1_000


def hard_numbers(count):
    """Return numbers that are as near as can be to the middle of two floats."""
    chance = random.Random(5)
    getcontext().prec = 1_200
    made = []
    while len(made) < count:
        (value,) = struct.unpack("<d", chance.randbytes(8))
        above = math.nextafter(value, math.inf)
        if math.isfinite(value) and math.isfinite(above):
            middle = (Decimal(value) + Decimal(above)) / 2
            hair = middle * Decimal(chance.choice(("0", "1e-800", "-1e-800")))
            made.append(chance.choice((repr(value), str(middle + hair))))
    return made


def test_number_is_read_as_python_reads_it_when_rounding_is_hard():
    numbers = hard_numbers(400)
    rows = ({**ROW, "petal_width_cm": f"@{number}@"} for number in numbers)
    body = json.dumps({"inputs": list(rows)}).replace('"@', "").replace('@"', "")
    read = [row["petal_width_cm"] for row in PARSER.parse(body.encode())]
    assert read == [float(number) for number in numbers]
    assert len(body) > 100_000
