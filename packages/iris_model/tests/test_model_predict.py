import numpy as np
import pandas as pd
import pytest

from iris_model import InvalidRows, IrisModel, RowProblem
from iris_model.config import load_config
from iris_model.data import load_table

SETOSA = {
    "sepal_length_cm": 5.1,
    "sepal_width_cm": 3.5,
    "petal_length_cm": 1.4,
    "petal_width_cm": 0.2,
}


def test_predict_answers_setosa_when_the_flower_is_one(model: IrisModel) -> None:
    (answer,) = model.predict([SETOSA])
    assert answer.label == "setosa"
    assert list(answer.probabilities) == ["setosa", "versicolor", "virginica"]
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-12)
    assert answer.probabilities["setosa"] > 0.9
    assert answer.out_of_range == ()


def test_predict_gives_the_same_answers_when_rows_have_another_form(
    model: IrisModel,
) -> None:
    rows = load_table(load_config()).rows
    by_position = model.predict(rows.to_numpy())
    assert model.predict(rows) == by_position
    assert model.predict(rows[rows.columns[::-1]]) == by_position
    assert model.predict(rows.to_dict("records")) == by_position
    assert model.predict(rows.to_numpy().tolist()) == by_position
    assert len(by_position) == 150


def test_predict_names_features_when_they_lie_outside_the_range(
    model: IrisModel,
) -> None:
    row = {**SETOSA, "petal_length_cm": 50.0, "petal_width_cm": 0.0}
    (answer,) = model.predict([row])
    assert answer.out_of_range == ("petal_length_cm", "petal_width_cm")


def test_predict_returns_nothing_when_there_are_no_rows(model: IrisModel) -> None:
    assert model.predict([]) == []


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"petal_length_cm": "1.4"}, "petal_length_cm", "must be a number"),
        ({"petal_length_cm": True}, "petal_length_cm", "must be a number"),
        ({"petal_length_cm": None}, "petal_length_cm", "must be a number"),
        ({"petal_length_cm": float("nan")}, "petal_length_cm", "must be finite"),
        ({"petal_length_cm": float("inf")}, "petal_length_cm", "must be finite"),
        ({"petal_length_cm": 10**400}, "petal_length_cm", "must be finite"),
        (
            {"petal_lenght_cm": 1.4},
            "petal_lenght_cm",
            "is unknown, did you mean 'petal_length_cm'?",
        ),
    ],
)
def test_predict_names_row_and_field_when_a_value_is_bad(
    model: IrisModel, change: dict[str, object], field: str, reason: str
) -> None:
    with pytest.raises(InvalidRows) as caught:
        model.predict([SETOSA, {**SETOSA, **change}])
    assert caught.value.problems == (RowProblem(1, field, reason),)


def test_predict_lists_every_problem_when_there_are_several(model: IrisModel) -> None:
    first = {name: value for name, value in SETOSA.items() if "width" not in name}
    with pytest.raises(InvalidRows) as caught:
        model.predict([first, {**SETOSA, "petal_width_cm": "wide"}])
    assert [(p.row, p.field) for p in caught.value.problems] == [
        (0, "sepal_width_cm"),
        (0, "petal_width_cm"),
        (1, "petal_width_cm"),
    ]
    assert "wide" not in str(caught.value)


@pytest.mark.parametrize(
    "rows",
    [
        SETOSA,
        "5.1",
        7,
        np.zeros((2, 3)),
        np.zeros(4),
        np.array([["a", "b", "c", "d"]]),
        np.array([[True, True, True, True]]),
        np.array([[1.0, 2.0, 3.0, np.nan]]),
        [[1.0, 2.0, 3.0]],
        [[1.0, 2.0, 3.0, "4"]],
        [SETOSA, [5.1, 3.5, 1.4, 0.2]],
        [7],
        pd.DataFrame([{**SETOSA, "extra": 1.0}]),
        pd.DataFrame([{**SETOSA, "petal_width_cm": "x"}]),
        pd.DataFrame([{**SETOSA, "petal_width_cm": float("nan")}]),
        pd.DataFrame([SETOSA]).drop(columns="petal_width_cm"),
    ],
)
def test_predict_raises_invalid_rows_when_the_shape_is_wrong(
    model: IrisModel, rows: object
) -> None:
    with pytest.raises(InvalidRows):
        model.predict(rows)


def test_predict_raises_invalid_rows_when_arithmetic_overflows(
    model: IrisModel,
) -> None:
    row = [-1.7e308, 1.7e308, -1.7e308, 1.7e308]
    try:
        (answer,) = model.predict([row])
    except InvalidRows as error:
        assert error.problems[0].row == 0
    else:
        assert sum(answer.probabilities.values()) == pytest.approx(1.0)
