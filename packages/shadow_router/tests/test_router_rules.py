"""Rule files: strict, dated, hashed, and bounded whatever they say."""

import json
import random
import tempfile
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_router.errors import AnswerUnreadable, RulesInvalid
from shadow_router.rules.paths import parse_path, values_at
from shadow_router.rules.rule_file import load_rules
from shadow_router.rules.rules import DEFAULT, Redact, Rules, Segment

TODAY = date(2026, 11, 24)
FULL = """\
# Rules of the wine list.
profile: infra
answers: open-inference
paths:
  inputs: inputs[]
  version: model_version
  digest: parameters.digest
classes:
- red
- white
mirror:
- POST /v2/models/wine/infer
thresholds:
  flips: 0.002
  latency: 1.5
tolerances:
- field: outputs[probabilities]
  atol: 1e-4
- field: outputs[score]
  atol: 0.5
  rtol: 0.01
ignore:
- field: parameters.note
  reason: the new runtime adds a note
  expires: 2026-11-24
segments:
- field: alcohol
  edges: [10, 12.5]
"""


def load(tmp_path, text, today=TODAY):
    path = tmp_path / "rules.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_rules(path, today)


def test_rules_are_those_of_the_file_when_it_names_all(tmp_path):
    rules = load(tmp_path, FULL.replace("[10, 12.5]", "\n  - 10\n  - 12.5"))
    assert rules.profile == "infra"
    assert rules.paths.label == "outputs[label]"
    assert rules.paths.digest == "parameters.digest"
    assert rules.classes == ("red", "white")
    assert rules.mirror == ("POST /v2/models/wine/infer",)
    limits = rules.thresholds
    assert (limits.flips, limits.segments, limits.latency) == (0.002, 0.002, 1.5)
    assert (limits.contract, limits.shifts) == (0.001, 0.001)
    assert rules.probability_tolerance.atol == 1e-4
    assert [one.field for one in rules.field_tolerances] == ["outputs[score]"]
    assert rules.ignored_on(TODAY) == {"parameters.note"}
    assert rules.segments[0].edges == (10, 12.5)


@pytest.mark.parametrize(
    ("profile", "flips", "shifts", "atol"),
    [
        ("refactor", 1e-4, 1e-3, 1e-9),
        ("infra", 1e-3, 1e-3, 1e-6),
        ("retrain", 1e-2, None, 1e-6),
    ],
)
def test_profile_says_how_much_may_change(tmp_path, profile, flips, shifts, atol):
    rules = load(tmp_path, f"profile: {profile}\n")
    assert (rules.thresholds.flips, rules.thresholds.shifts) == (flips, shifts)
    assert rules.thresholds.segments == flips
    assert rules.probability_tolerance.atol == atol


def test_rules_without_a_file_are_those_of_a_file_that_says_retrain(tmp_path):
    assert load(tmp_path, "profile: retrain\n").sha256 == DEFAULT.sha256


def test_hash_is_that_of_the_meaning_and_not_of_the_text(tmp_path):
    plain = load(tmp_path, "profile: retrain\n")
    spelt = load(tmp_path, "# why\nprofile:   retrain\nthresholds:\n  flips: 1e-2\n")
    other = load(tmp_path, "profile: retrain\nthresholds:\n  flips: 0.02\n")
    assert plain.sha256 == spelt.sha256 != other.sha256
    assert len(plain.sha256) == 64
    assert Rules.model_validate_json(other.canonical).sha256 == other.sha256


@pytest.mark.parametrize(
    ("text", "line", "field", "reason"),
    [
        ("", 1, "(file)", ""),
        ("profile: bold\n", 1, "profile", "'refactor', 'retrain' or 'infra'"),
        ("profile: retrain\nprofil: x\n", 2, "profil", "unexpected key"),
        ("profile: retrain\nprofile: infra\n", 2, "profile", "uplicate"),
        ("profile: retrain\nanswers: xml\n", 2, "answers", "must be one of"),
        ("profile: retrain\nthresholds:\n  flips: nan\n", 3, "thresholds.flips", ""),
        ("profile: retrain\nthresholds:\n  flips: inf\n", 3, "thresholds.flips", ""),
        ("profile: retrain\nthresholds:\n  flips: 2\n", 3, "thresholds.flips", "less"),
        ("profile: retrain\nthresholds:\n  flisp: 0.1\n", 3, "flisp", "xtra"),
        ("profile: retrain\nthresholds:\n  flips: many\n", 3, "flips", "expecting"),
        ("profile: retrain\nmirror:\n- /v1/x\n", 3, "mirror.0", "METHOD /path"),
        ("profile: retrain\npaths:\n  label: a[\n", 3, "paths.label", "not a step"),
        ("profile: retrain\npaths:\n  label: ''\n", 3, "paths.label", "at least 1"),
        ("profile: retrain\npaths:\n  lable: a\n", 3, "paths.lable", "xtra"),
        (
            "profile: retrain\nignore:\n- field: a\n  reason: b\n",
            4,
            "reason",
            "expires",
        ),
        (
            "profile: retrain\nignore:\n- field: a\n  reason: b\n  expires: soon\n",
            5,
            "ignore.0.expires",
            "date",
        ),
        (
            "profile: retrain\nignore:\n- field: a\n  reason: ''\n"
            "  expires: 2030-01-01\n",
            4,
            "ignore.0.reason",
            "at least 1",
        ),
        (
            "profile: retrain\nignore:\n- field: predictions[].label\n"
            "  reason: b\n  expires: 2030-01-01\n",
            1,
            "(file)",
            "predictions[].label is what is compared",
        ),
        (
            "profile: retrain\nignore:\n- field: a\n  reason: b\n"
            "  expires: 2026-11-23\n",
            5,
            "ignore.0.expires",
            "expired on 2026-11-23",
        ),
        (
            "profile: retrain\nsegments:\n- field: a\n  edges:\n  - 2\n  - 1\n",
            3,
            "segments.0",
            "ascend",
        ),
        ("profile: retrain\ntolerances:\n- field: a\n  atol: -1\n", 4, "atol", ""),
        (b"profile: \xff\n", 1, "(file)", "not readable"),
        ("profile: {a: b}\n", 1, "profile", ""),
        ("profile: &x retrain\n", 1, "profile", ""),
        ("a: " + "[" * 5000, 1, "", ""),
        ("- " * 9000 + "x", 1, "", ""),
        ("x" * 70_000, 1, "(file)", "at most 65536"),
    ],
)
def test_rules_are_refused_in_one_line_when_the_file_is_wrong(
    tmp_path, text, line, field, reason
):
    with pytest.raises(RulesInvalid) as caught:
        load(tmp_path, text)
    error = caught.value
    assert error.line == line
    assert field in error.field
    assert reason in error.reason
    assert str(error).startswith(f"{tmp_path / 'rules.yml'}:{line}: ")
    assert "\n" not in str(error)


def test_rules_are_refused_when_there_is_no_such_file(tmp_path):
    with pytest.raises(RulesInvalid, match="No such file"):
        load_rules(tmp_path / "none.yml", TODAY)


def test_ignore_rule_voids_itself_when_its_day_is_over(tmp_path):
    rules = load(tmp_path, FULL.replace("[10, 12.5]", "\n  - 10"))
    assert not rules.expired_on(TODAY)
    tomorrow = date(2026, 11, 25)
    assert rules.ignored_on(tomorrow) == frozenset()
    assert [rule.field for rule in rules.expired_on(tomorrow)] == ["parameters.note"]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=100))
def test_any_text_is_rules_or_one_error(text):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rules.yml"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            load_rules(path, TODAY)
        except RulesInvalid as error:
            assert error.line >= 1


@pytest.mark.parametrize(
    "path", ["", ".", "a..b", "a[", "a]", "a[]b", "[]x", "a." * 17 + "b", "a" * 257]
)
def test_path_is_refused_when_it_is_none(path):
    with pytest.raises(ValueError):
        parse_path(path)


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("rows[].x", [1, 2]),
        ("rows", [[{"x": 1}, {"x": 2}]]),
        ("outputs[label]", ["a", "b", "c"]),
        ("outputs[flat]", [[1, 2], [3, 4], [5, 6]]),
        ("outputs[deep]", [[1, 2], [3, 4], [5, 6]]),
        ("outputs[column]", [7, 8, 9]),
        ("outputs[plain].value", [4]),
    ],
)
def test_values_are_found_in_rows_and_in_tensors(path, values):
    document = {
        "rows": [{"x": 1}, {"x": 2}],
        "outputs": [
            {"name": "label", "shape": [3], "data": ["a", "b", "c"]},
            {"name": "flat", "shape": [3, 2], "data": [1, 2, 3, 4, 5, 6]},
            {"name": "deep", "shape": [3, 2], "data": [[1, 2], [3, 4], [5, 6]]},
            {"name": "column", "shape": [3, 1], "data": [[7], [8], [9]]},
            {"name": "plain", "value": 4},
        ],
    }
    assert values_at(document, path) == values


def test_values_are_found_when_the_document_is_an_array():
    assert values_at([{"x": 1}, {"x": 2}], "[].x") == [1, 2]


@pytest.mark.parametrize(
    "tensor",
    [
        {"shape": [3], "data": [1, 2]},
        {"shape": [], "data": []},
        {"shape": "3", "data": [1, 2, 3]},
        {"shape": [-1], "data": [1]},
        {"shape": [True], "data": [1]},
        {"shape": [2**40, 2**40], "data": [1]},
        {"shape": [1], "data": "x"},
    ],
)
def test_tensor_is_unreadable_when_shape_and_data_do_not_fit(tensor):
    with pytest.raises(AnswerUnreadable):
        values_at({"outputs": [{"name": "x", **tensor}]}, "outputs[x]")


def random_json(rng, depth=0):
    kinds = ("number", "text", "none") if depth > 4 else ("object", "array", "number")
    kind = rng.choice(kinds)
    if kind == "object":
        names = ("a", "b", "name", "shape", "data")
        return {rng.choice(names): random_json(rng, depth + 1) for _ in range(3)}
    if kind == "array":
        return [random_json(rng, depth + 1) for _ in range(3)]
    return {"number": rng.randint(-3, 3), "text": "a", "none": None}[kind]


def test_any_path_on_any_document_finds_values_or_says_that_it_cannot():
    rng = random.Random(3)
    steps = ("a", "b", "a[]", "b[]", "a[b]", "data", "shape[]")
    found = 0
    for _ in range(3000):
        document = random_json(rng)
        path = ".".join(rng.choice(steps) for _ in range(rng.randint(1, 4)))
        try:
            values = values_at(document, path)
        except AnswerUnreadable:
            continue
        found += 1
        # A path never holds more than the document does.
        assert len(json.dumps(values)) <= len(json.dumps(document)) + 2
    assert found > 50


@pytest.mark.parametrize(
    "withheld",
    [
        {"keep_inputs": "none"},
        {"keep_inputs": "hash"},
        {"redact": Redact(fields=("inputs",))},
        {"redact": Redact(fields=("inputs[]",))},
    ],
)
def test_segments_are_few_when_inputs_are_withheld(withheld):
    two, three = (Segment(field="x", edges=edges) for edges in ((1.0,), (1.0, 2.0)))
    other = two.model_copy(update={"field": "y"})
    assert Rules(**withheld, segments=(two, other)).withholds_rows
    with pytest.raises(ValueError, match="into 6 pieces; at most 4"):
        Rules(**withheld, segments=(three, other))
    assert not Rules(segments=(three, other)).withholds_inputs


@pytest.mark.parametrize("path", ["age", "inputs[].age", "inputs[age]"])
def test_segments_are_refused_when_their_field_is_redacted(path):
    named = Redact(fields=(path,))
    with pytest.raises(ValueError, match="segments: age is redacted"):
        Rules(redact=named, segments=(Segment(field="age", edges=(40.0,)),))
    kept = Segment(field="height", edges=(1.0, 2.0, 3.0, 4.0, 5.0))
    assert Rules(redact=named, segments=(kept,)).withholds_inputs
