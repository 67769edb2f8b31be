"""Comparison: each way to differ has its fate and its reason."""

import json
from dataclasses import replace

import pytest

from shadow_router.answers import AnswerPaths, predict_ms, values_at
from shadow_router.compare import Rules, compare
from shadow_router.errors import AnswerUnreadable
from shadow_router.records import Fate, Observation

PATHS = AnswerPaths(
    "predictions[].label", "predictions[].probabilities", "model.version"
)
RULES = Rules(PATHS, atol=0.01, rtol=0.0)


def document(*rows, version="1.0.0", **extra):
    predictions = [
        {"label": label, "probabilities": {"a": a, "b": 1 - a}, "out_of_range": []}
        for label, a in rows
    ]
    return {"model": {"version": version}, "predictions": predictions, **extra}


def observed(content, status=200, kind="application/json", encoding=""):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Observation(status, kind, encoding, body, 1.0)


LIVE = observed(document(("a", 0.75)))


def test_fate_is_match_when_answers_are_equal():
    found = compare(LIVE, observed(document(("a", 0.75), version="1.1.0")), RULES)
    assert found.fate is Fate.MATCH
    assert (found.live_version, found.shadow_version) == ("1.0.0", "1.1.0")
    assert found.labels == (("a", "a"),)
    assert (found.max_delta, found.total_variation, found.live_margin) == (0, 0, 0.5)


def test_fate_is_within_tolerance_when_probabilities_are_close():
    found = compare(LIVE, observed(document(("a", 0.7578125))), RULES)
    assert found.fate is Fate.WITHIN_TOLERANCE
    assert found.max_delta == found.total_variation == 0.0078125


def test_tolerance_is_relative_to_live_when_rtol_is_set():
    shadow = observed(document(("a", 0.76)))
    assert compare(LIVE, shadow, Rules(PATHS, 0, 0.05)).fate is Fate.WITHIN_TOLERANCE
    assert compare(LIVE, shadow, Rules(PATHS, 0, 0.03)).fate is Fate.PROBA_SHIFT


def test_fate_is_proba_shift_when_labels_agree_and_probabilities_do_not():
    assert compare(LIVE, observed(document(("a", 0.6))), RULES).fate is Fate.PROBA_SHIFT


def test_fate_is_label_flip_when_one_row_of_many_differs():
    live = observed(document(("a", 0.75), ("a", 0.5625), ("b", 0.25)))
    shadow = observed(document(("a", 0.75), ("b", 0.4375), ("b", 0.25)))
    found = compare(live, shadow, RULES)
    assert found.fate is Fate.LABEL_FLIP
    assert found.labels == (("a", "a"), ("a", "b"), ("b", "b"))
    assert found.live_margin == 0.125


def renamed():
    changed = document(("a", 0.75))
    changed["predictions"][0]["probabilities"] = {"a": 0.75, "c": 0.25}
    return changed


def without(key):
    changed = document(("a", 0.75))
    del changed["predictions"][0][key]
    return changed


def with_row(**values):
    changed = document(("a", 0.75))
    changed["predictions"][0].update(values)
    return changed


@pytest.mark.parametrize(
    ("shadow", "reason"),
    [
        (observed(document(("a", 0.75)), status=404), "status 404 instead of 200"),
        (observed(b"{}", kind="text/html"), "content type text/html"),
        (observed(b"{}", encoding="gzip"), "shadow answered with content encoding"),
        (observed(b"not json"), "body is not JSON"),
        (observed(b"[" * 100_000), "body is not JSON"),
        (observed(b'{"predictions": NaN}'), "body holds NaN"),
        (observed(b"\xff\xfe"), "body is not JSON"),
        (observed(b"[]"), "predictions is missing"),
        (observed(b'{"predictions": 3}'), "predictions is not an array"),
        (observed(document(("a", 0.75), ("a", 0.75))), "2 rows instead of 1"),
        (observed(renamed()), "row 0: class b became c"),
        (observed(without("out_of_range")), "field out_of_range is missing"),
        (observed(without("label")), "label is missing"),
        (observed(with_row(extra=1)), "field extra is extra"),
        (observed(with_row(out_of_range=None)), "/predictions/0/out_of_range is null"),
        (observed(with_row(label=None)), "a label is not text"),
        (observed(with_row(probabilities=[1])), "not a table of probabilities"),
        (observed(with_row(probabilities={"a": "1"})), "a probability is not a number"),
        (observed(with_row(probabilities={"a": True})), "is not a number"),
        (observed(b'{"predictions":[{"label":"a","probabilities":{"a":1e999}}]}'),
         "not between 0 and 1"),
        (observed(document(("a", 0.75), note="new")), "field note is extra"),
    ],
)  # fmt: skip
def test_fate_is_contract_break_with_its_reason_when_answer_would_surprise(
    shadow, reason
):
    found = compare(LIVE, shadow, RULES)
    assert found.fate is Fate.CONTRACT_BREAK
    assert reason in found.reason


def test_lists_off_the_rows_may_differ_in_length():
    shadow = observed(with_row(out_of_range=["petal"]))
    assert compare(LIVE, shadow, RULES).fate is Fate.MATCH


def test_fate_is_shadow_error_when_shadow_answers_500():
    found = compare(LIVE, replace(LIVE, status=503), RULES)
    assert (found.fate, found.reason) == (Fate.SHADOW_ERROR, "status 503")


def test_fate_is_match_when_both_refuse_in_the_same_way():
    refusal = observed(b'{"title": "x"}', 422, "application/problem+json")
    other = observed(b'{"title": "y"}', 422, "application/problem+json; charset=utf-8")
    assert compare(refusal, other, RULES).fate is Fate.MATCH


@pytest.mark.parametrize(("body", "fate"), [(b"x", "match"), (b"y", "contract_break")])
def test_bytes_decide_when_answers_are_not_json(body, fate):
    live = observed(b"x", kind="text/plain")
    assert compare(live, observed(body, kind="text/plain"), RULES).fate == fate


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("predict;dur=1.5", 1.5),
        ('total;dur=9, predict;desc="x";dur=2', 2.0),
        ("PREDICT; DUR=3", 3.0),
        ('predict;dur="4"', 4.0),
        ("", None),
        ("predict", None),
        ("predict;dur=nan", None),
        ("predict;dur=1e9", None),
        ("predict;dur=-1", None),
        ("mypredict;dur=1", None),
        ("predict;dur=" + "9" * 400, None),
    ],
)
def test_predict_ms_is_a_plain_number_or_nothing(header, expected):
    assert predict_ms(header) == expected


def test_values_at_follows_arrays_in_order():
    tree = {"a": [{"b": [{"c": 1}, {"c": 2}]}, {"b": [{"c": 3}]}]}
    assert values_at(tree, "a[].b[].c") == [1, 2, 3]
    with pytest.raises(AnswerUnreadable):
        values_at(tree, "a.b")
