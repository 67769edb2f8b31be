"""An input is its values: no spelling, query, order or framing makes another of it."""

import gzip
import json
import struct
import zlib

import pytest
from test_router_evidence import A, compared, exchange, found, tallies_after

from shadow_router.compare.comparisons import comparison_of
from shadow_router.compare.inputs import evidence_of
from shadow_router.request.targets import origin_form, path_of
from shadow_router.rules.rules import DEFAULT, OPEN_INFERENCE, Paths, Rules
from shadow_router.values import Difference, Fate

NO_ROWS = Rules(paths=Paths(inputs=""))
TENSORS = Rules(paths=OPEN_INFERENCE)
INFER = b"/v2/models/m/infer"


def digest(body, rules=DEFAULT, rows=1, headers=(), **more):
    sent = exchange(body, **more)._replace(headers=headers)
    evidence = evidence_of(sent, found(*[A] * rows), rules)
    assert len(evidence.units) == rows
    return tuple(unit.digest for unit in evidence.units)


ROW = b'{"inputs": [{"x": 5.0, "y": 0.0, "name": "A"}]}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [{"x": 5, "y": 0, "name": "A"}]}',
        b'{"inputs": [{"x": 5.000, "y": -0.0, "name": "A"}]}',
        b'{"inputs": [{"x": 5e0, "y": -0, "name": "A"}]}',
        b'{"inputs": [{"x": 50E-1, "y": 0e9, "name": "\\u0041"}]}',
        b'{"inputs": [{"x": 5.0000000000000000000001, "y": 0.0, "name": "A"}]}',
        b'{"id": 9, "inputs": [ {"name": "A",\n "y": 0, "x": 0.5e1} ], "t": [1]}',
        b'{"inputs": [{"x": 7, "x": 5.0, "y": 1e-400, "name": "A"}]}',
    ],
)
def test_spelling_makes_no_other_input(body):
    assert digest(body) == digest(ROW)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"9007199254740993", b"9007199254740992.0"),
        (b"123456789012345678901234567890", b"1.2345678901234568e29"),
        (b"0.1", b"0.1000000000000000055511151231257827"),
        (b"[1, [-0.0, 2]]", b"[1.0, [0, 2e0]]"),
        (b'{"a": {"b": 1}}', b'{"a": {"b": 1.0}}'),
    ],
)
def test_numbers_are_the_doubles_that_they_are_read_as(one, other):
    bodies = (b'{"inputs": [%b]}' % one, b'{"inputs": [%b]}' % other)
    assert digest(bodies[0]) == digest(bodies[1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1", b"true"),
        (b"0", b"false"),
        (b"1", b'"1"'),
        (b"0", b"null"),
        (b"5", b"5.0000000000000009"),
        (b'{"x": 1}', b'{"x": 1, "y": null}'),
        (b"[1]", b"1"),
        (b'"a"', b'"A"'),
        (b"1" * 400, b"2" * 400),
    ],
)
def test_other_values_are_other_inputs(one, other):
    bodies = (b'{"inputs": [%b]}' % one, b'{"inputs": [%b]}' % other)
    assert digest(bodies[0]) != digest(bodies[1])


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/predict?",
        b"/v1/predict?nonce=1",
        b"/v1/predict#1",
        b"http://example.org/v1/predict",
        b"https://example.org:8000/v1/predict?a=b",
        b"HTTP://A:B@EXAMPLE.org/v1/predict#c?d",
    ],
)
def test_target_makes_no_other_input_when_the_path_is_the_same(target):
    assert digest(ROW, target=target) == digest(ROW)
    assert digest(ROW, NO_ROWS, target=target)[0]


@pytest.mark.parametrize(
    ("target", "form"),
    [
        (b"http://h", b"/"),
        (b"http://h?q", b"/?q"),
        (b"http://h?q/r", b"/?q/r"),
        (b"http://h/a//b?c=http://d/e#f", b"/a//b?c=http://d/e"),
        (b"/a?b=http://c/d", b"/a?b=http://c/d"),
        (b"//h/a", b"//h/a"),
        (b"*", b"*"),
    ],
)
def test_origin_form_is_path_and_query(target, form):
    assert origin_form(target) == form
    assert path_of(target) == form.partition(b"?")[0]


def test_method_and_headers_make_no_other_input():
    sent = exchange(ROW)
    other = sent._replace(method="PUT", headers=((b"content-type", b"x"),))
    both = (evidence_of(one, found(A), DEFAULT).units for one in (sent, other))
    assert len({units[0].digest for units in both}) == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_coded_body_is_the_input_that_it_holds(coding):
    code = {"gzip": gzip.compress, "deflate": zlib.compress}[coding]
    headers = ((b"content-encoding", coding.encode()),)
    coded = [digest(code(ROW, level), headers=headers) for level in (1, 9)]
    assert coded == [digest(ROW)] * 2
    # What unfolds for ever is told apart by its bytes, and costs no more than its cap.
    bomb = gzip.compress(b" " * 20_000_000 + ROW)
    assert digest(bomb, headers=headers) != digest(ROW)


def test_rows_that_cannot_be_told_apart_are_the_values_of_the_body():
    spelt = (b'{"a": 1, "b": [0]}', b'{"b":[-0.0],"a":1.0}')
    assert digest(spelt[0]) == digest(spelt[1])
    assert digest(spelt[0], NO_ROWS) == digest(spelt[1], NO_ROWS)
    assert digest(b"no json") != digest(b"no  json")


def test_query_is_the_input_when_there_is_nothing_else():
    def asked(query, rules=DEFAULT):
        return digest(b"", rules, target=b"/v1/predict" + query)

    assert asked(b"?x=1&y=2") == asked(b"?y=2&x=%31") == asked(b"?x=1.0&y=2e0#z")
    assert asked(b"?x=1") != asked(b"?x=2")
    assert asked(b"?x=007") != asked(b"?x=7")
    assert digest(ROW, NO_ROWS, target=b"/p?m=a") != digest(ROW, NO_ROWS, target=b"/p")


def tensor(name, data, datatype="FP64", shape=None, **more):
    shape = shape or [len(data)]
    return {"name": name, "shape": shape, "datatype": datatype, "data": data} | more


def infer(*tensors, **more):
    return json.dumps({"inputs": list(tensors), **more}).encode()


def binary(*tensors):
    """Return body and headers of a request; of each: name, datatype, bytes, shape."""
    heads = [
        {
            "name": name,
            "datatype": datatype,
            "shape": shape,
            "parameters": {"binary_data_size": len(content)},
        }
        for name, datatype, content, shape in tensors
    ]
    head = json.dumps({"inputs": heads}).encode()
    length = (b"inference-header-content-length", b"%d" % len(head))
    return head + b"".join(one[2] for one in tensors), (length,)


def rows_of(body, rows, headers=()):
    return digest(body, TENSORS, rows, headers=headers, target=INFER)


def test_spelling_of_a_tensor_makes_no_other_input():
    flat = rows_of(infer(tensor("x", [5, 0, 7, 8], shape=[2, 2])), 2)
    same = [
        infer(tensor("x", [5.0, -0.0, 7.0, 8e0], shape=[2, 2])),
        infer(tensor("x", [[5, 0], [7, 8]], shape=[2, 2])),
        infer(tensor("other", [5, 0, 7, 8], "INT32", [2, 2]), id="new"),
        infer(tensor("x", [5, 0, 7, 8], "FP32", [2, 2], parameters={"a": 1})),
    ]
    assert [rows_of(body, 2) for body in same] == [flat] * len(same)
    values = (5, 0, 7, 8)
    for datatype, code in (
        ("FP64", "d"),
        ("FP32", "f"),
        ("INT8", "b"),
        ("UINT64", "Q"),
    ):
        packed = struct.pack(f"<4{code}", *values)
        body, headers = binary(("y", datatype, packed, [2, 2]))
        assert rows_of(body, 2, headers) == flat


def test_several_tensors_are_the_same_in_any_order_and_in_binary():
    x, y = tensor("x", [0.1, 2]), tensor("y", ["a", "é"], "BYTES")
    usual = rows_of(infer(x, y), 2)
    assert rows_of(infer(y, x), 2) == usual
    texts = b"".join(struct.pack("<I", len(t)) + t for t in (b"a", "é".encode()))
    numbers = struct.pack("<2d", 0.1, 2)
    body, headers = binary(("x", "FP64", numbers, [2]), ("y", "BYTES", texts, [2]))
    assert rows_of(body, 2, headers) == usual
    assert rows_of(infer(y, tensor("z", [0.1, 2])), 2) != usual


def test_narrow_datatypes_hold_what_they_hold():
    narrow = rows_of(infer(tensor("x", [0.1], "FP32")), 1)
    body, headers = binary(("x", "FP32", struct.pack("<f", 0.1), [1]))
    assert rows_of(body, 1, headers) == narrow
    assert rows_of(infer(tensor("x", [0.1])), 1) != narrow
    truths = rows_of(infer(tensor("x", [True], "BOOL")), 1)
    body, headers = binary(("x", "BOOL", b"\1", [1]))
    assert rows_of(body, 1, headers) == rows_of(infer(tensor("x", [1], "BOOL")), 1)
    assert rows_of(body, 1, headers) == truths


def test_infinite_values_are_told_apart():
    numbers = (float("nan"), float("inf"), float("-inf"))
    bodies = [binary(("x", "FP64", struct.pack("<d", x), [1])) for x in numbers]
    assert len({rows_of(body, 1, headers) for body, headers in bodies}) == 3


@pytest.mark.parametrize(
    "length", [b"0", b"9" * 4400, b"-1", b"\xb2", b"1_0", b"99999999", b""]
)
def test_length_of_the_json_that_is_none_does_no_harm(length):
    body, _ = binary(("x", "FP64", b"\0" * 8, [1]))
    headers = ((b"inference-header-content-length", length),)
    assert rows_of(body, 1, headers)


@pytest.mark.parametrize("fate", [Fate.MATCH, Fate.SHADOW_ERROR, Fate.CONTRACT_BREAK])
def test_rows_in_another_order_or_company_make_no_request_new(tmp_path, fate):
    def request(*values):
        answer = json.dumps(
            {
                "predictions": [
                    {"label": "a", "probabilities": {"a": 1.0}} for _ in values
                ]
            }
        )
        ours = exchange({"inputs": [{"x": x} for x in values]}, answer)
        its = Difference(fate, "why")
        if fate is Fate.MATCH:
            its = compared(1).shadow._replace(body=answer.encode())
        return comparison_of("r", ours, its, DEFAULT)

    orders = [(1, 2, 3), (3, 2, 1), (1, 1, 2), (2,), (3, 3, 3, 3), (1, 2, 4), (4,)]
    tallies = tallies_after(tmp_path, [request(*values) for values in orders])
    # The first, and the one with the new row.
    assert tallies.requests == 2
    assert tallies.errors == 2 * (fate is Fate.SHADOW_ERROR)
    assert tallies.breaks == 2 * (fate is Fate.CONTRACT_BREAK)
