import numpy as np
import pandas as pd
import pytest
from feature_engine.creation import CyclicalFeatures, MathFeatures, RelativeFeatures
from feature_engine.outliers import Winsorizer
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from iris_model.compile import compile_pipeline
from iris_model.config import load_config
from iris_model.data import load_table
from iris_model.errors import NoConverter
from iris_model.parity import compare_faces

TABLE = load_table(load_config())
PETALS = ["petal_length_cm", "petal_width_cm"]

STEPS = {
    "winsorizer both tails": Winsorizer(tail="both", fold=1),
    "winsorizer right tail, some columns": Winsorizer(
        capping_method="iqr", tail="right", fold=1.5, variables=PETALS
    ),
    "math, one function": MathFeatures(variables=PETALS, func="prod"),
    "math, all functions": MathFeatures(
        variables=PETALS, func=["sum", "prod", "mean", "min", "max"]
    ),
    "math, originals dropped": MathFeatures(
        variables=PETALS, func="sum", drop_original=True
    ),
    "relative, all functions": RelativeFeatures(
        variables=PETALS,
        reference=["sepal_length_cm", "sepal_width_cm"],
        func=["add", "sub", "mul", "div", "truediv"],
        fill_value=-1.0,
    ),
    "relative, originals dropped": RelativeFeatures(
        variables=PETALS,
        reference=["sepal_length_cm"],
        func=["div"],
        fill_value=0.0,
        drop_original=True,
    ),
    "relative, power": RelativeFeatures(
        variables=["petal_width_cm"], reference=["petal_length_cm"], func=["pow"]
    ),
}


def fit(step: BaseEstimator) -> Pipeline:
    scale = StandardScaler().set_output(transform="pandas")
    classify = LogisticRegression(max_iter=2000)
    pipeline = Pipeline([("made", step), ("scale", scale), ("classify", classify)])
    return pipeline.fit(TABLE.rows, TABLE.labels)


@pytest.mark.parametrize("name", STEPS)
def test_compiled_step_agrees_when_rows_are_of_the_table(name: str) -> None:
    pipeline = fit(STEPS[name])
    differing, distance = compare_faces(
        pipeline, compile_pipeline(pipeline), TABLE.rows
    )
    assert differing == 0
    assert distance < 1e-12


FITTED = {name: fit(step) for name, step in STEPS.items()}
COMPILED = {name: compile_pipeline(pipeline) for name, pipeline in FITTED.items()}


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(STEPS)),
    arrays(np.float64, (3, 4), elements=st.floats(0.0, 60.0, width=32)),
)
def test_compiled_step_agrees_when_rows_are_any_lengths(
    name: str, values: np.ndarray
) -> None:
    frame = pd.DataFrame(values, columns=TABLE.rows.columns)
    _, distance = compare_faces(FITTED[name], COMPILED[name], frame)
    assert distance < 1e-9


def test_compiled_ratio_gives_the_fill_when_the_divisor_is_zero() -> None:
    name = "relative, all functions"
    frame = pd.DataFrame([[0.0, 0.0, 1.4, 0.2]], columns=TABLE.rows.columns)
    _, distance = compare_faces(FITTED[name], COMPILED[name], frame)
    assert distance < 1e-12


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (CyclicalFeatures(), "no converter for CyclicalFeatures"),
        (Winsorizer(tail="both", add_indicators=True), "add_indicators"),
        (MathFeatures(variables=PETALS, func="std"), "'std' is not supported"),
        (
            RelativeFeatures(
                variables=PETALS, reference=["sepal_width_cm"], func=["mod"]
            ),
            "'mod' is not supported",
        ),
    ],
)
def test_compile_names_the_step_when_it_has_no_converter(
    step: BaseEstimator, says: str
) -> None:
    with pytest.raises(NoConverter, match=says) as caught:
        compile_pipeline(fit(step))
    assert caught.value.step == "made"
