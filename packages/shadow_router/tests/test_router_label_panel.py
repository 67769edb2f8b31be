"""What the page says of labels: in words, with the inputs that are worth asking for."""

from dataclasses import fields, replace

import pytest
from test_router_verdict import GOOD

from shadow_router.page.label_panel import answers_of, label_panel
from shadow_router.store import LabelTotals, Wanted
from shadow_router.verdict.evidence import Labelled
from shadow_router.verdict.verdict import judge

KEY = b"k" * 32


def panel(labelled=None, **totals):
    return label_panel(
        LabelTotals(**totals), judge(replace(GOOD, labelled=labelled)), "abc", KEY
    )


def wanted(number, **changes):
    fields = {"request_id": f"id-{number}", "row": 0, "live": "c", "shadow": "a"}
    return Wanted(
        **fields | {"margin": 0.5, "input": b'{"x": 1.5, "y": "red"}'} | changes
    )


@pytest.mark.parametrize(
    ("lost", "won", "said"),
    [
        (60, 20, "Decided: the shadow is right less often than live"),
        (20, 60, "Decided: the shadow is right about as often as live"),
        (3, 2, "Not decided yet: it needs about 210 more labels"),
        (1, 0, "Not decided yet: it needs about 58 more labels"),
    ],
)
def test_panel_says_what_the_gate_has_decided(lost, won, said):
    found = panel(
        Labelled(1000, lost, won, labels=100),
        flips=100,
        live_alone_right=lost,
        shadow_alone_right=won,
    )
    assert found.said == said
    assert found.neither == 100 - lost - won
    assert f"alone is right: {lost + won}; live is it in" in found.mcnemar


def test_panel_says_nothing_of_nobody_when_no_label_has_arrived():
    found = panel()
    assert found.said == "No labels have arrived, so nobody is judged"
    assert (found.mcnemar, found.questions) == ("", ())


def test_first_few_are_asked_with_their_input_and_both_answers_first():
    found = panel(wanted=tuple(map(wanted, range(9))))
    assert [one.request_id for one in found.questions] == [
        f"id-{number}" for number in range(5)
    ]
    assert {one.choices for one in found.questions} == {
        ("c", "a", "b"),
        ("a", "c", "b"),
    }
    assert found.questions[0].fields == (("x", "1.5"), ("y", "red"))


@pytest.mark.parametrize(
    ("source", "shown"), [(None, ()), (b"[1, 2]", (("input", "[1, 2]"),))]
)
def test_input_is_shown_as_far_as_it_is_there(source, shown):
    found = panel(wanted=(wanted(1, input=source),))
    assert found.questions[0].fields == shown


def test_order_of_the_answers_does_not_tell_whose_they_are():
    asked = [wanted(number) for number in range(2000)]
    first = [answers_of(one, KEY)[0] == one.live for one in asked]
    # Half of them, within four standard deviations.
    assert 910 < sum(first) < 1090
    # The same for whoever looks again, and also if the versions change places.
    assert first == [answers_of(one, KEY)[0] == one.live for one in asked]
    swapped = [replace(one, live=one.shadow, shadow=one.live) for one in asked]
    for one, other in zip(asked, swapped, strict=True):
        assert answers_of(one, KEY) == answers_of(other, KEY)
    # Unknown to whoever lacks the key.
    guessed = [answers_of(one, b"other")[0] == one.live for one in asked]
    assert 910 < sum(a == b for a, b in zip(first, guessed, strict=True)) < 1090


def test_question_says_nothing_of_versions_and_margins():
    found = panel(wanted=(wanted(1), wanted(2, live="a", shadow="c")))
    names = {field.name for field in fields(found.questions[0])}
    assert names == {"key", "request_id", "row", "answers", "choices", "fields"}
