"""Comparison: each way to differ has its fate and its reason."""

import json
import time
from datetime import date

import pytest

from shadow_router.compare.answers import predict_ms
from shadow_router.compare.compare import compare
from shadow_router.errors import AnswerUnreadable
from shadow_router.rules.paths import values_at
from shadow_router.rules.rules import OPEN_INFERENCE, Ignore, Paths, Rules, Tolerance
from shadow_router.values import Fate, Observation, RowDifference


def tolerating(atol=0.0, rtol=0.0, field="predictions[].probabilities"):
    return Rules(tolerances=(Tolerance(field=field, atol=atol, rtol=rtol),))


RULES = tolerating(atol=0.01)


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
    assert found.rows == (RowDifference("a", "a", 0, 0.5),)
    assert found.max_delta == 0


def test_fate_is_within_tolerance_when_probabilities_are_close():
    found = compare(LIVE, observed(document(("a", 0.7578125))), RULES)
    assert found.fate is Fate.WITHIN_TOLERANCE
    assert found.max_delta == found.rows[0].total_variation == 0.0078125


def test_tolerance_is_relative_to_live_when_rtol_is_set():
    shadow = observed(document(("a", 0.76)))
    assert compare(LIVE, shadow, tolerating(rtol=0.05)).fate is Fate.WITHIN_TOLERANCE
    assert compare(LIVE, shadow, tolerating(rtol=0.03)).fate is Fate.PROBA_SHIFT


def test_fate_is_proba_shift_when_labels_agree_and_probabilities_do_not():
    assert compare(LIVE, observed(document(("a", 0.6))), RULES).fate is Fate.PROBA_SHIFT


def test_fate_is_label_flip_when_one_row_of_many_differs():
    live = observed(document(("a", 0.75), ("a", 0.5625), ("b", 0.25)))
    shadow = observed(document(("a", 0.75), ("b", 0.4375), ("b", 0.25)))
    found = compare(live, shadow, RULES)
    assert found.fate is Fate.LABEL_FLIP
    labels = [(row.live, row.shadow) for row in found.rows]
    assert labels == [("a", "a"), ("a", "b"), ("b", "b")]
    assert found.worst_row == RowDifference("a", "b", 0.125, 0.125, True)


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
        (observed(with_row(label="x" * 257)), "a label is too long"),
        (observed(with_row(label="\ud800")), "body is not JSON"),
        (observed(with_row(probabilities=1)), "not a table of probabilities"),
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


@pytest.mark.parametrize("score", ["1e999", "-1e999", "1" + "0" * 400, "true", "null"])
def test_field_is_compared_without_a_fault_when_its_value_is_odd(score):
    field = tolerating(atol=0.5, rtol=0.1, field="score")
    plain = observed(document(("a", 0.75), score=1.5))
    odd = observed(plain.body.replace(b"1.5", score.encode()))
    assert compare(odd, odd, field).fate is Fate.MATCH
    assert compare(plain, odd, field).fate in (Fate.PROBA_SHIFT, Fate.CONTRACT_BREAK)


IGNORING = Rules(
    ignore=(
        Ignore(field="predictions[].note", reason="new", expires=date(2026, 12, 31)),
    )
)


@pytest.mark.parametrize("day", [date(2026, 12, 31), date(2027, 1, 1)])
def test_ignored_field_may_come_and_go_until_its_day_is_over(day):
    for live, shadow in ((LIVE, observed(with_row(note="x"))), (LIVE, LIVE)):
        found = compare(live, shadow, IGNORING, day)
        is_over = day > date(2026, 12, 31) and live is not shadow
        assert found.fate is (Fate.CONTRACT_BREAK if is_over else Fate.MATCH)


def test_field_beyond_its_tolerance_is_a_shift_with_its_name():
    field = tolerating(atol=0.5, field="score")
    live = observed(document(("a", 0.75), score=10))
    for score, fate in ((10.5, Fate.MATCH), (10.6, Fate.PROBA_SHIFT)):
        found = compare(live, observed(document(("a", 0.75), score=score)), field)
        assert found.fate is fate
    assert found.reason == "score is beyond its tolerance"
    assert found.rows[0].is_shifted


def tensors(*probabilities, labels=("red",)):
    flat = [number for row in probabilities for number in row]
    outputs = [
        {"name": "label", "datatype": "BYTES", "shape": [len(labels)], "data": labels},
        {
            "name": "probabilities",
            "datatype": "FP64",
            "shape": [len(labels), 2],
            "data": flat,
        },
    ]
    return observed({"model_name": "w", "model_version": "7", "outputs": outputs})


def test_answers_of_the_open_inference_protocol_are_compared_by_their_tensors():
    rules = Rules(paths=OPEN_INFERENCE, classes=("red", "white"))
    live = tensors((0.75, 0.25), (0.5, 0.5), labels=("red", "white"))
    shadow = tensors((0.25, 0.75), (0.5, 0.5), labels=("white", "white"))
    found = compare(live, shadow, rules)
    assert found.fate is Fate.LABEL_FLIP
    assert found.live_version == "7"
    assert found.rows == (
        RowDifference("red", "white", 0.5, 0.5, True),
        RowDifference("white", "white", 0, 0, False),
    )


def test_columns_without_names_are_named_by_their_place():
    found = compare(
        tensors((0.75, 0.25)), tensors((0.75, 0.25)), Rules(paths=OPEN_INFERENCE)
    )
    assert found.rows == (RowDifference("red", "red", 0, 0.5, False),)
    three = Rules(paths=OPEN_INFERENCE, classes=("a", "b", "c"))
    reason = compare(tensors((0.75, 0.25)), tensors((0.75, 0.25)), three).reason
    assert reason == "live: outputs[probabilities]: 2 columns, not 3"


def test_any_json_is_compared_by_its_paths():
    paths = Paths(
        label="result.class", probabilities="", version="meta.v", digest="meta.d"
    )
    live = observed({"result": {"class": 3}, "meta": {"v": 1, "d": "abc"}})
    shadow = observed({"result": {"class": 4}, "meta": {"v": 2, "d": "def"}})
    found = compare(live, shadow, Rules(paths=paths))
    assert found.rows == (RowDifference("3", "4"),)
    assert (found.live_version, found.shadow_digest) == ("1", "def")


def test_comparison_ends_soon_when_rules_and_answers_are_as_large_as_they_may_be():
    deep = ".".join(["a[]"] * 16)
    rules = Rules(
        paths=Paths(label="l[]", probabilities="", version="v"),
        tolerances=tuple(Tolerance(field=f"{deep[:-3]}{k}") for k in range(32)),
        ignore=tuple(
            Ignore(field=f"{deep[:-3]}{k}", reason="x", expires=date(2030, 1, 1))
            for k in range(32)
        ),
    )
    document = {"l": ["x"], "v": 1, "a": [{"a": [{"a": [1] * 100}] * 30}] * 30}
    began = time.perf_counter()
    assert compare(observed(document), observed(document), rules).fate is not None
    assert time.perf_counter() - began < 5


def test_nesting_without_end_is_a_contract_break():
    deep = {"predictions": [], "note": json.loads("[" * 200 + "]" * 200)}
    found = compare(observed(deep), observed(deep), RULES)
    assert found.fate is Fate.CONTRACT_BREAK
    assert "nested more than 64 deep" in found.reason


def test_lists_off_the_rows_may_differ_in_length():
    shadow = observed(with_row(out_of_range=["petal"]))
    assert compare(LIVE, shadow, RULES).fate is Fate.MATCH


def test_fate_is_shadow_error_when_shadow_answers_500():
    found = compare(LIVE, LIVE._replace(status=503), RULES)
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
