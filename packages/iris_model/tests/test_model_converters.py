import re
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from converter_cases import CASES, Fitted
from converter_parity import largest_difference
from hypothesis import given, settings
from hypothesis import strategies as st

from iris_model.converters import CONVERTERS


@cache
def fit(name: str) -> Fitted:
    return Fitted(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_converter_agrees_when_rows_are_those_it_was_fitted_on(name: str) -> None:
    fitted = fit(name)
    assert largest_difference(fitted, fitted.case.table.head(30)) <= 1e-9


@pytest.mark.parametrize("name", CASES)
def test_converter_agrees_or_refuses_when_values_are_on_the_edge(name: str) -> None:
    fitted = fit(name)
    pools = [st.sampled_from(fitted.pool(column)) for column in fitted.case.table]

    @settings(max_examples=12, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.tuples(*pools), min_size=4, max_size=4))
    def check(rows: list[tuple[object, ...]]) -> None:
        assert largest_difference(fitted, fitted.frame(rows)) <= 1e-9

    check()


@pytest.mark.parametrize("name", CASES)
def test_graph_is_valid_onnx_when_a_transformer_is_compiled(name: str) -> None:
    model = onnx.load_from_string(fit(name).compiled.model_bytes)
    onnx.checker.check_model(model, full_check=True)
