"""Every mutation spoils an answer so that an awake comparison must notice."""

import json
from datetime import date

import pytest

from shadow_router.collector.mutants import MUTATIONS, mutate
from shadow_router.compare.compare import compare
from shadow_router.rules.rules import OPEN_INFERENCE, Ignore, Paths, Rules, Tolerance
from shadow_router.values import Fate, Observation

AGREE = {Fate.MATCH, Fate.WITHIN_TOLERANCE}


def observed(document, kind="application/json"):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Observation(200, kind, "", body, 1.0)


def row(label, p):
    return {
        "label": label,
        "probabilities": {"a": p, "b": round(1 - p, 9)},
        "notes": [],
    }


OURS = observed(
    {
        "model": {"version": "1"},
        "predictions": [row("a", 0.9), row("b", 0.0), row("a", 1.0)],
    }
)
TENSORS = observed(
    {
        "model_version": "1",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]},
            {
                "name": "probabilities",
                "datatype": "FP64",
                "shape": [2, 2],
                "data": [0.9, 0.1, 0.2, 0.8],
            },
        ],
    }
)
NUMBER = observed({"result": {"class": 3, "scores": [0.25, 0.75]}})
PLAIN = observed([{"label": "yes"}, {"label": "no"}])
NUMBER_PATHS = Paths(label="result.class", probabilities="result.scores")
PLAIN_PATHS = Paths(label="[].label", probabilities="")
CASES = {
    "our API": (OURS, Rules()),
    "refactor": (OURS, Rules(profile="refactor")),
    "wide tolerance": (
        OURS,
        Rules(
            tolerances=(Tolerance(field="predictions[].probabilities", atol=0.1),),
        ),
    ),
    "no tolerance": (
        OURS,
        Rules(tolerances=(Tolerance(field="predictions[].probabilities"),)),
    ),
    "tensors": (TENSORS, Rules(paths=OPEN_INFERENCE)),
    "one number": (NUMBER, Rules(paths=NUMBER_PATHS)),
    "bare array": (PLAIN, Rules(paths=PLAIN_PATHS)),
    "text": (observed(b"fine", "text/plain"), Rules()),
}
APPLICABLE = {
    "our API": set(MUTATIONS),
    "refactor": set(MUTATIONS),
    "wide tolerance": set(MUTATIONS),
    "no tolerance": set(MUTATIONS),
    "tensors": set(MUTATIONS) - {"rename_class"},
    "one number": set(MUTATIONS)
    - {"rename_class", "swap_rows", "drop_row", "repeat_row"},
    "bare array": set(MUTATIONS)
    - {"rename_class", "shift_probability", "probability_nan"}
    - {"probability_above_one", "probability_as_text"},
    "text": {"cut_body", "fail", "refuse", "other_media_type"},
}


@pytest.mark.parametrize("case", CASES)
def test_comparison_finds_every_mutant_whatever_was_drawn(case):
    answer, rules = CASES[case]
    assert compare(answer, answer, rules).fate is Fate.MATCH
    tried = set()
    for draw in range(40 * len(MUTATIONS)):
        mutant = mutate(answer, rules, draw)
        tried.add(mutant.name)
        found = compare(answer, mutant.answer, rules)
        assert found.fate not in AGREE, (mutant.name, mutant.answer.body)
    assert tried == APPLICABLE[case]


FATES = {
    "another_label": Fate.LABEL_FLIP,
    "swap_rows": Fate.LABEL_FLIP,
    "shift_probability": Fate.PROBA_SHIFT,
    "fail": Fate.SHADOW_ERROR,
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutation_is_found_for_what_it_is(name):
    spoilt = MUTATIONS[name](OURS, Rules(), 0)
    expected = FATES.get(name, Fate.CONTRACT_BREAK)
    assert compare(OURS, spoilt, Rules()).fate is expected


def test_mutant_is_the_same_when_the_draw_is():
    assert mutate(OURS, Rules(), 12345) == mutate(OURS, Rules(), 12345)
    assert mutate(OURS, Rules(), 12345) != mutate(OURS, Rules(), 12346)


def test_mutation_leaves_ignored_fields_alone():
    ignored = ("model", "predictions[].notes", "predictions")
    rules = Rules(
        ignore=tuple(
            Ignore(field=name, reason="moves", expires=date(2999, 1, 1))
            for name in ignored
        )
    )
    for draw in range(400):
        mutant = mutate(OURS, rules, draw)
        found = compare(OURS, mutant.answer, rules)
        assert found.fate not in AGREE, (mutant.name, mutant.answer.body)


def test_probability_is_shifted_beyond_the_tolerance_when_its_base_used_it_up():
    rules = Rules(
        tolerances=(
            Tolerance(field="predictions[].probabilities", atol=0.01, rtol=0.1),
        )
    )
    live = observed({"predictions": [row("a", 0.5)]})
    shadow = observed({"predictions": [row("a", 0.55)]})
    assert compare(live, shadow, rules).fate is Fate.WITHIN_TOLERANCE
    for draw in range(8):
        spoilt = MUTATIONS["shift_probability"](shadow, rules, draw)
        assert compare(live, spoilt, rules).fate is Fate.PROBA_SHIFT


def test_nothing_is_spoilt_when_the_answer_holds_nothing_to_spoil():
    everything = observed(b"", "text/plain")
    assert MUTATIONS["cut_body"](everything, Rules(), 0) is None
    one = observed({"predictions": [row("a", 0.9)]})
    assert MUTATIONS["swap_rows"](one, Rules(), 0) is None
    wide = Rules(tolerances=(Tolerance(field="predictions[].probabilities", atol=0.5),))
    assert MUTATIONS["shift_probability"](one, wide, 0) is None
