import re
from functools import cache
from pathlib import Path

import onnx
import pytest
from converter_cases import CASES
from converter_parity import Fitted, largest_difference, measured_differences
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from iris_model.converters import CONVERTERS

README = Path(__file__).parents[1] / "README.md"


@cache
def fit(name: str) -> Fitted:
    return Fitted(CASES[name])


def public_name(kind: type[BaseEstimator]) -> str:
    package, family, *_ = kind.__module__.split(".")
    end = f"{family}.{kind.__name__}"
    return end if package == "feature_engine" else f"{package}.{end}"


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_converter_agrees_when_rows_are_those_it_was_fitted_on(name: str) -> None:
    fitted = fit(name)
    assert largest_difference(fitted, fitted.case.table.head(30)) <= 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_converter_agrees_or_refuses_when_values_are_on_the_edge(name: str) -> None:
    fitted = fit(name)
    pools = [st.sampled_from(fitted.pool(column)) for column in fitted.case.table]

    @settings(max_examples=10, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.tuples(*pools), min_size=4, max_size=4))
    def check(rows: list[tuple[object, ...]]) -> None:
        assert largest_difference(fitted, fitted.frame(rows)) <= 1e-9

    check()


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_graph_is_valid_onnx_when_a_transformer_is_compiled(name: str) -> None:
    model = onnx.load_from_string(fit(name).compiled.model_bytes)
    onnx.checker.check_model(model, full_check=True)


def listed_differences() -> dict[str, float]:
    section = README.read_text().partition("## Compiled steps")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {
        name: float(row[3]) for row in rows for name in re.findall("`(.+?)`", row[1])
    }


def test_readme_lists_the_converters_when_they_are_those_that_exist() -> None:
    assert set(listed_differences()) == {public_name(kind) for kind in CONVERTERS}


@pytest.mark.slow
def test_readme_differences_are_those_seen_when_they_are_measured_again() -> None:
    fitted = [fit(name) for name in CASES]
    measured = {public_name(k): v for k, v in measured_differences(fitted).items()}
    listed = listed_differences()
    assert set(measured) == set(listed)
    # Other processors round the last bits differently.
    above = {k: v for k, v in measured.items() if v > max(4.0 * listed[k], 1e-14)}
    assert above == {}
