"""P19: the page about mutants says what the comparison and the gates find today."""

import re

import numpy as np
import pytest

from tasks.measure import detection
from tasks.measure.mutants import MUTANTS
from tasks.measure.spoiling import INPUTS, Model, answering, draw_traffic

PAGE = detection.DOCUMENT.read_text()
ROWS = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", PAGE, re.M)[1:])


def test_page_lists_every_mutant_and_there_are_thirty_or_more() -> None:
    assert list(ROWS) == list(MUTANTS)
    assert len(MUTANTS) >= 30
    assert PAGE.startswith(detection.HEAD)


def test_traffic_is_the_same_each_time_and_no_row_comes_twice() -> None:
    rows = draw_traffic()
    assert np.array_equal(rows, draw_traffic())
    assert len(np.unique(rows, axis=0)) == INPUTS


@pytest.mark.slow
def test_page_is_what_the_command_finds() -> None:
    assert detection.table(list(MUTANTS)) == PAGE.removeprefix(detection.HEAD)


def test_mutants_are_not_found_when_the_comparison_sleeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The page would say so: it is not a list of what ought to be found.
    real, model = detection.comparison_of, Model(draw_traffic())
    plain = answering(model.classes, model.original)

    def asleep(router, exchange, answer, rules):  # type: ignore[no-untyped-def]
        return real(router, exchange, plain(int(exchange.request_id)), rules)

    monkeypatch.setattr(detection, "INPUTS", 20)
    monkeypatch.setattr(detection, "comparison_of", asleep)
    assert "not detectable: identical answers" in detection.table(["uniform"])
