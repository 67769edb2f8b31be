"""What the page says of labels: in words, with the inputs that are worth asking for."""

from dataclasses import replace

import pytest
from test_router_verdict import GOOD

from shadow_router.evidence import Labelled
from shadow_router.label_panel import label_panel
from shadow_router.store import LabelTotals, Wanted
from shadow_router.verdict import judge


def panel(labelled=None, **totals):
    return label_panel(
        LabelTotals(**totals), judge(replace(GOOD, labelled=labelled)), "abc"
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
        (3, 2, "Not decided yet: it takes more labels"),
    ],
)
def test_panel_says_what_the_gate_has_decided(lost, won, said):
    found = panel(
        Labelled(1000, lost, won),
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


def test_first_few_are_asked_with_their_input_and_what_was_answered_first():
    found = panel(wanted=tuple(map(wanted, range(9))))
    assert [one.wanted.request_id for one in found.questions] == [
        f"id-{number}" for number in range(5)
    ]
    assert found.questions[0].choices == ("c", "a", "b")
    assert found.questions[0].fields == (("x", "1.5"), ("y", "red"))


@pytest.mark.parametrize(
    ("source", "fields"), [(None, ()), (b"[1, 2]", (("input", "[1, 2]"),))]
)
def test_input_is_shown_as_far_as_it_is_there(source, fields):
    found = panel(wanted=(wanted(1, input=source),))
    assert found.questions[0].fields == fields
