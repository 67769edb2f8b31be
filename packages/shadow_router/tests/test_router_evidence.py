"""What counts as evidence: unique inputs, first answers, sums that need no rows."""

import json
import time
from math import inf

import pytest

from shadow_router.compare.answers import parse_document
from shadow_router.compare.comparisons import comparison_of
from shadow_router.compare.inputs import evidence_of
from shadow_router.rules.rules import DEFAULT, Paths, Rules, Segment
from shadow_router.store import Batch, Store, read_totals
from shadow_router.values import (
    Difference,
    Exchange,
    Fate,
    Observation,
    RowDifference,
)
from shadow_router.verdict.evidence import Sketch, Tallies, Tried
from shadow_router.verdict.latency import FINE_BUCKETS, fine_bucket_of, fine_edges_ms

A, B = RowDifference("a", "a", 0.0, 0.5), RowDifference("a", "b", 0.25, 0.75, True)


def exchange(body, live="", target=b"/v1/predict"):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json", "server-timing": "predict;dur=1"}
    now = time.time_ns()
    return Exchange(
        "id", now, "POST", target, (), text, 200, headers, 2.0, live.encode()
    )


def found(*rows):
    return Difference(Fate.MATCH, rows=rows)


def digests(body, rows=2, rules=DEFAULT, **more):
    evidence = evidence_of(exchange(body, **more), found(*[A] * rows), rules)
    return [unit.digest for unit in evidence.units]


def test_input_is_the_same_when_only_spelling_order_and_surroundings_differ():
    one = digests(b'{"inputs": [{"x": 1.50, "y": 2}, {"x": 3, "y": 4}]}')
    other = digests(b'{"id": 7, "inputs":[{"y":4,"x":3},{"y":2,"x":1.5}]}')
    assert one == other[::-1]
    assert len(set(one)) == 2


def test_input_is_another_when_a_value_or_the_path_differs():
    body = {"inputs": [{"x": 1}, {"x": 2}]}
    one, two = digests(body)
    assert one != two
    assert digests(body, target=b"/v2/predict") != [one, two]


def test_tensors_are_told_apart_row_by_row():
    def request(*columns):
        named = (
            {"name": name, "shape": [len(data), 1], "datatype": "FP64", "data": data}
            for name, data in zip("xy", columns, strict=True)
        )
        return {"inputs": list(named)}

    one = digests(request([1, 3], [2, 4]))
    assert one == digests(request([3, 1], [4, 2]))[::-1]
    matrix = {"inputs": [{"name": "x", "shape": [2, 2], "data": [1, 2, 3, 4]}]}
    assert len(set(digests(matrix))) == 2


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        ({"inputs": [{"x": 1}]}, DEFAULT),
        ({"rows": [1, 2]}, DEFAULT),
        (b"not json", DEFAULT),
        ({"inputs": [{"x": 1}, {"x": 2}]}, Rules(paths=Paths(inputs=""))),
        ({"inputs": [{"shape": [2], "data": [1]}]}, DEFAULT),
        (b'{"inputs": [1, "\\ud800"]}', DEFAULT),
    ],
)
def test_body_counts_once_by_its_worst_row_when_rows_cannot_be_told_apart(body, rules):
    evidence = evidence_of(exchange(body), found(A, B), rules)
    assert [unit.row for unit in evidence.units] == [B]


@pytest.mark.parametrize("depth", [100, 900, 980, 2000, 100_000])
def test_evidence_is_found_without_a_fault_however_deep_a_request_is(depth):
    body = b'{"inputs": [' + b"[" * depth + b"]" * depth + b"]}"
    assert len(evidence_of(exchange(body), found(A), DEFAULT).units) == 1


def test_bins_are_those_of_the_rules():
    segment = Segment(field="x", edges=(2.0, 5.0))
    rules = Rules(segments=(segment,))
    rows = [{"x": 1}, {"x": 2}, {"x": 5}, {"x": "many"}, {}, {"x": True}]
    evidence = evidence_of(exchange({"inputs": rows}), found(*[A] * 6), rules)
    assert [unit.bins for unit in evidence.units] == [
        ("x < 2",),
        ("2 ≤ x < 5",),
        ("x ≥ 5",),
        (),
        (),
        (),
    ]
    by_place = Rules(segments=(Segment(field="0", edges=(2.0,)),))
    evidence = evidence_of(exchange({"inputs": [[1]]}), found(A), by_place)
    assert evidence.units[0].bins == ("x < 2".replace("x", "0"),)


def answer(label, p=0.9):
    rows = [{"label": label, "probabilities": {"a": p, "b": round(1 - p, 9)}}]
    return json.dumps({"model": {"version": "1"}, "predictions": rows})


def compared(x, live="a", shadow="a", p=0.9, q=0.9, ms=1.5, rules=DEFAULT):
    """Return a comparison made by the code that makes them in the collector."""
    ours = exchange({"inputs": [{"x": x}]}, answer(live, p))
    # No client is too much of the evidence.
    ours = ours._replace(client=f"key.{sum(str(x).encode()) % 3}")
    body = answer(shadow, q).encode()
    its = Observation(200, "application/json", "", body, 3.0, ms)
    return comparison_of("r", ours, its, rules)


def failed(x, fate=Fate.SHADOW_ERROR):
    ours = exchange({"inputs": [{"x": x}]}, answer("a"))
    return comparison_of("r", ours, Difference(fate, "status 500"), DEFAULT)


def tallies_after(tmp_path, *batches):
    store = Store(tmp_path)
    store.note_rules(DEFAULT)
    for batch in batches:
        store.write(Batch(batch))
    store.close()
    return read_totals(tmp_path).tallies


def test_sums_count_each_input_once_whatever_the_batches(tmp_path):
    first = [compared(1), compared(2, shadow="b", q=0.4), compared(2, shadow="b")]
    second = [compared(1), compared(3, live="b", shadow="b", p=0.4, q=0.5)]
    tallies = tallies_after(tmp_path, first, second)
    assert tallies.pairs == {("a", "a"): 1, ("a", "b"): 1, ("b", "b"): 1}
    assert (tallies.inputs, tallies.flips, tallies.requests) == (3, 1, 3)
    assert (tallies.measured, tallies.confident_flips, tallies.shifts) == (3, 1, 2)
    assert tallies.distance == pytest.approx(0.5 + 0.1)
    assert tallies.squared_distance == pytest.approx(0.25 + 0.01)
    assert tallies.segments == {"a": Tried(2, 1), "b": Tried(1, 0)}
    assert (tallies.repeats, tallies.live_changes, tallies.shadow_changes) == (2, 0, 0)


def test_first_answer_is_the_evidence_when_a_version_contradicts_itself(tmp_path):
    again = [compared(1, shadow="b"), compared(1), compared(1, live="b")]
    tallies = tallies_after(tmp_path, [compared(1)], again)
    assert tallies.pairs == {("a", "a"): 1}
    assert (tallies.repeats, tallies.live_changes, tallies.shadow_changes) == (3, 1, 1)


def test_requests_that_fail_or_break_count_once(tmp_path):
    broken = [failed(5, Fate.CONTRACT_BREAK), failed(5, Fate.CONTRACT_BREAK)]
    late = [failed(1), failed(1), failed(2, Fate.SHADOW_TIMEOUT), compared(1)]
    tallies = tallies_after(tmp_path, broken, late)
    assert (tallies.requests, tallies.errors, tallies.breaks) == (3, 2, 1)
    # Once the input is answered, that answer is evidence of labels.
    assert tallies.inputs == 1


def test_latencies_are_paired_and_a_timeout_is_longer_than_all(tmp_path):
    batch = [compared(1, ms=2.0), compared(2, ms=None), failed(3, Fate.SHADOW_TIMEOUT)]
    sketches = tallies_after(tmp_path, batch).sketches
    one, two = fine_bucket_of(1.0), fine_bucket_of(2.0)
    last = FINE_BUCKETS - 1
    assert {k: n for k, n in sketches["server"].live.items() if n} == {one: 2}
    assert {k: n for k, n in sketches["server"].shadow.items() if n} == {
        two: 1,
        last: 1,
    }
    assert sketches["caller"].pairs == 3
    assert Sketch({}, {}).pairs == 0


def test_fine_buckets_hold_what_falls_into_them():
    for latency_ms in (0.0, 0.005, 0.01, 0.0101, 1.0, 1.02, 250.0, 80_000, inf):
        lower, upper = fine_edges_ms(fine_bucket_of(latency_ms))
        assert lower * (1 - 1e-9) <= latency_ms <= upper * (1 + 1e-9)
    assert fine_bucket_of(inf) == FINE_BUCKETS - 1


def test_a_thousand_rows_are_a_thousand_inputs(tmp_path):
    rows = [{"label": "a", "probabilities": {"a": 1.0, "b": 0.0}}] * 1000
    text = json.dumps({"model": {"version": "1"}, "predictions": rows})
    ours = exchange({"inputs": [{"x": k} for k in range(1000)]}, text)
    its = Observation(200, "application/json", "", text.encode(), 3.0)
    tallies = tallies_after(tmp_path, [comparison_of("r", ours, its, DEFAULT)])
    assert (tallies.inputs, tallies.requests) == (1000, 1)


def test_pace_is_that_of_the_last_minutes(tmp_path):
    tallies_after(tmp_path, [compared(x) for x in range(120)])
    # All of them in this minute or the one before.
    assert 0.9 < read_totals(tmp_path).inputs_per_s <= 2.0


def test_rules_are_kept_once_each_in_their_order(tmp_path):
    store = Store(tmp_path)
    other = Rules(profile="refactor")
    for rules in (DEFAULT, other, DEFAULT):
        store.note_rules(rules)
    store.close()
    assert read_totals(tmp_path).rules == (DEFAULT.canonical, other.canonical)


def test_reading_writes_nothing(tmp_path):
    tallies_after(tmp_path, [compared(1)])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    read_totals(tmp_path)
    after = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert before["comparisons.sqlite"] == after["comparisons.sqlite"]


def test_tallies_are_empty_when_nothing_was_compared(tmp_path):
    assert tallies_after(tmp_path) == Tallies()
    assert parse_document(b"{}") == {}
