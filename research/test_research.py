"""Run after the notebooks: ``tox run -e notebooks`` does both."""

import json
from dataclasses import replace
from pathlib import Path

import joblib
import pandas as pd
import pytest
from check_decision import compare_answers, differences, score_differences

import iris_model
from iris_model.config import PACKAGED_CONFIG, Config, StepConfig, load_config
from iris_model.data import load_table
from iris_model.pipeline import build_pipeline

HERE = Path(__file__).parent
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))
DECISION = HERE / "decision.yml"


def cells(notebook: Path) -> list[dict]:
    return json.loads(notebook.read_text())["cells"]


def test_there_are_five_notebooks() -> None:
    assert [notebook.stem for notebook in NOTEBOOKS] == [
        "01_explore",
        "02_engineer",
        "03_select",
        "04_train",
        "05_predict",
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(notebook: Path) -> None:
    for cell in cells(notebook):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_begins_with_its_purpose_and_ends_with_asserts(notebook: Path) -> None:
    first, last = cells(notebook)[0], cells(notebook)[-1]
    assert "> **Purpose.**" in "".join(first["source"])
    assert "assert " in "".join(last["source"])
    assert "## Findings" in str(cells(notebook)) or "## The decision" in str(
        cells(notebook)
    )


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_was_executed_into_a_page(notebook: Path) -> None:
    page = (HERE / "build" / f"{notebook.stem}.html").read_text()
    code = [cell["source"] for cell in cells(notebook) if cell["cell_type"] == "code"]
    drawn = "".join(map("".join, code)).count("plt.show()")
    assert drawn >= 1
    assert page.count('src="data:image/png;base64,') == drawn


def test_decision_is_what_the_package_is_configured_to_learn() -> None:
    assert differences(DECISION, PACKAGED_CONFIG) == []


def test_decision_has_the_scores_of_the_wheel() -> None:
    assert score_differences(DECISION, iris_model.load().manifest) == []


def test_notebook_answers_as_the_wheel_on_every_and_on_random_rows() -> None:
    differing, distance = compare_answers(joblib.load(HERE / "build/pipeline.joblib"))
    assert differing == 0
    assert distance < 1e-9


# ---- known-bad: each must be seen --------------------------------------------


def refit(config: Config, rows: pd.DataFrame | None = None):
    table = load_table(config)
    return build_pipeline(config).fit(
        table.rows if rows is None else rows, table.labels
    )


def test_comparison_is_red_when_a_feature_leaks_the_label() -> None:
    config = load_config()
    table = load_table(config)
    codes = table.labels.astype("category").cat.codes.astype(float)
    leaking = refit(config, table.rows.assign(petal_width_cm=codes))
    differing, distance = compare_answers(leaking)
    assert differing > 100
    assert distance > 0.1


def test_comparison_is_red_when_a_step_is_missing_or_moved() -> None:
    config = load_config()
    ratio = StepConfig(
        "ratio",
        "RelativeFeatures",
        {
            "variables": ["petal_width_cm"],
            "reference": ["petal_length_cm"],
            "func": ["mul"],
        },
        {},
    )
    assert compare_answers(refit(replace(config, steps=())))[1] > 1e-9
    before = refit(replace(config, steps=(ratio, *config.steps)))
    assert compare_answers(before)[1] > 1e-9


@pytest.mark.parametrize(
    ("old", "new", "section"),
    [
        ("seed: 1936", "seed: 1937", "seed"),
        ("  - petal_width_cm", "  - petal_width_cm\n  - species_code", "features"),
        ("classifier:\n  name: Lin", "classifier:\n  name: Quad", "classifier"),
        ("      fold: 3", "      fold: 2", "steps"),
    ],
)
def test_decision_is_red_when_it_departs_from_the_configuration(
    tmp_path: Path, old: str, new: str, section: str
) -> None:
    changed = tmp_path / "decision.yml"
    assert old in DECISION.read_text()
    changed.write_text(DECISION.read_text().replace(old, new))
    (found,) = differences(changed, PACKAGED_CONFIG)
    assert found.startswith(f"{section}: ")


def test_decision_is_red_when_two_steps_change_places(tmp_path: Path) -> None:
    scale = "  - name: scale\n    transformer: StandardScaler\n"
    decision, config = tmp_path / "decision.yml", tmp_path / "config.yml"
    decision.write_text(DECISION.read_text().replace("steps:\n", f"steps:\n{scale}"))
    config.write_text(
        PACKAGED_CONFIG.read_text().replace("\nclassifier:", f"{scale}\nclassifier:")
    )
    (found,) = differences(decision, config)
    assert found.startswith("steps: ")


def test_scores_are_red_when_the_decision_claims_better_ones(tmp_path: Path) -> None:
    changed = tmp_path / "decision.yml"
    scores = score_differences(DECISION, iris_model.load().manifest)
    assert scores == []
    text = DECISION.read_text()
    line = next(x for x in text.splitlines() if "accuracy:" in x)
    changed.write_text(text.replace(line, "  accuracy: 0.9999"))
    (found,) = score_differences(changed, iris_model.load().manifest)
    assert found.startswith("accuracy: decided 0.9999")
