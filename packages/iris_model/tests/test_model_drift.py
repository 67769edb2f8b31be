"""Drift alarms on large changes with enough rows, and on nothing else."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from drift import (
    FEATURE_CHANGES,
    SEED,
    World,
    detection_of_feature,
    detection_of_mix,
    false_alarms_of_model,
    false_alarms_of_tables,
)
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as tables
from records_made import make_records, rows_of_table, run_command
from scipy import stats

import iris_model
from iris_model.config import load_config
from iris_model.data import load_table
from iris_model.drift import (
    bound_psi,
    judge,
    measure_labels,
    measure_numbers,
    merge_cells,
)
from iris_model.drift_tally import DriftTally
from iris_model.errors import RecordsUnusable
from iris_model.reference import Quantiles, count_cells, find_quantiles
from iris_model.validation import Matrix

VERSION = iris_model.__version__


@pytest.fixture(scope="module")
def world() -> World:
    """Return the smooth world that weeks are drawn from."""
    return World(load_table(load_config()))


# ---- reference --------------------------------------------------------------


def test_quantiles_lie_between_measurements_when_they_are_few() -> None:
    found = find_quantiles(np.array([0.2, 0.1, 0.2, 0.4]))
    assert found.values == pytest.approx([0.15, 0.3])
    assert (found.at_most, found.rows) == ([1, 3], 4)


def test_quantiles_are_percentiles_when_measurements_are_many() -> None:
    found = find_quantiles(np.arange(100_000.0))
    assert len(found.values) == 99
    assert found.at_most[0] == pytest.approx(1000, abs=1)
    assert found.at_most[49] == pytest.approx(50_000, abs=1)


def test_quantiles_are_none_when_all_values_are_equal() -> None:
    assert find_quantiles(np.full(9, 1.5)) == Quantiles([], [], 9)


def test_manifest_holds_the_table_when_trained(model: iris_model.IrisModel) -> None:
    reference = model.manifest.reference
    assert reference is not None
    rows = load_table(load_config()).rows
    for name, quantiles in reference.features.items():
        for value, at_most in zip(quantiles.values, quantiles.at_most, strict=True):
            assert (rows[name] <= value).sum() == at_most
    # Out of fold: not what the table says, and not surer than the model will be.
    assert reference.labels == {"setosa": 50, "versicolor": 49, "virginica": 51}
    assert reference.confidence.rows == 150
    assert len(json.dumps(dataclasses.asdict(reference))) < 8_000


# ---- distances --------------------------------------------------------------


def test_distances_are_those_of_scipy_when_samples_are_given() -> None:
    rng = np.random.default_rng(1)
    table, live = rng.normal(size=90), rng.normal(0.4, 1.3, 700)
    quantiles = find_quantiles(table)
    found = measure_numbers(quantiles, count_cells(quantiles, live))
    assert found.rows == 700
    # All values of the table are apart, so only the places between them differ.
    assert found.ks == pytest.approx(stats.ks_2samp(table, live).statistic, abs=0.012)


def test_index_is_that_of_the_formula_when_cells_are_full() -> None:
    found = measure_labels({"a": 5000, "b": 5000}, {"a": 8000, "b": 2000})
    assert found.psi == pytest.approx(0.3 * np.log(1.6) - 0.3 * np.log(0.4), rel=1e-3)
    # By hand: the root of (0.0680 + 0.0782) / 2 bits.
    assert found.js == pytest.approx(0.2704, abs=1e-3)
    assert found.ks is None


def test_cells_hold_a_tenth_of_the_table_when_merged() -> None:
    assert merge_cells(np.full(100, 2)).tolist() == list(range(0, 100, 10))
    assert merge_cells(np.array([91, 1, 1, 7])).tolist() == [0]
    assert merge_cells(np.array([60, 20, 1, 19])).tolist() == [0, 1, 2]


@given(
    tables.arrays(np.float64, st.integers(1, 300), elements=st.integers(-5, 300)),
    st.sampled_from([0.1, 1.0, 2.0**-40]),
    st.integers(1, 9),
)
@example(np.array([0.1 + 0.2, 0.3, 0.3, 7.0]), 1.0, 7)
@example(np.full(9, 3.0), 1.0, 7)
def test_table_is_at_no_distance_from_itself(
    whole: Matrix, step: float, times: int
) -> None:
    # Whole numbers and tenths lie on each other; tiny steps are neighbouring numbers.
    table = whole * step if step >= 0.1 else 1.0 + whole * np.finfo(float).eps
    quantiles = find_quantiles(table)
    live = count_cells(quantiles, np.tile(table, times))
    found = measure_numbers(quantiles, live)
    assert (found.psi, found.js, found.ks) == (0.0, 0.0, 0.0)


def test_distances_are_nothing_when_there_are_no_rows() -> None:
    quantiles = find_quantiles(np.arange(50.0))
    found = measure_numbers(quantiles, np.zeros(50, dtype=np.int64))
    assert (found.rows, found.psi, found.js, found.ks) == (0, 0.0, 0.0, 0.0)
    assert judge("x", found, 50, 1).state == "too few rows"


@pytest.mark.slow
@pytest.mark.parametrize("rows", [300, 3000])
def test_bound_lies_below_the_truth_as_often_as_it_says(rows: int) -> None:
    # Ten cells of a world whose index against the table's world is 0.1.
    table_world = np.full(10, 0.1)
    tilt = np.linspace(-1, 1, 10)
    live_world = table_world * (1 + 0.495 * tilt)
    truth = ((live_world - table_world) * np.log(live_world / table_world)).sum()
    assert truth == pytest.approx(0.1, abs=0.01)
    rng = np.random.default_rng(SEED)
    names = [str(cell) for cell in range(10)]
    above = 0
    for _ in range(2000):
        drawn = [rng.multinomial(150, table_world), rng.multinomial(rows, live_world)]
        counts = [dict(zip(names, one.tolist(), strict=True)) for one in drawn]
        found = measure_labels(*counts)
        above += bound_psi(found, 150, 0.05) > truth
    # 5 % are promised; 2,000 trials leave them within 1.5 % of that.
    assert above / 2000 < 0.065


def test_bound_is_higher_when_fewer_things_are_compared() -> None:
    found = measure_labels({"a": 75, "b": 75}, {"a": 700, "b": 300})
    alone, among = judge("x", found, 150, 1), judge("x", found, 150, 50)
    assert 0 < among.psi_low < alone.psi_low < found.psi


def test_bound_is_found_when_tables_are_large() -> None:
    found = measure_labels({"a": 10**7, "b": 10**7}, {"a": 10**7, "b": 2 * 10**7})
    assert 0.11 < bound_psi(found, 2 * 10**7, 0.001) < found.psi


# ---- rates ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("rows", [200, 5000])
def test_nothing_alarms_on_1000_undisturbed_weeks_beyond_what_is_promised(
    model: iris_model.IrisModel, world: World, rows: int
) -> None:
    rng = np.random.default_rng([SEED, rows])
    assert false_alarms_of_model(model, world, rng, 1000, rows) <= 10


@pytest.mark.slow
def test_nothing_alarms_when_the_training_table_is_another_draw(
    model: iris_model.IrisModel, world: World
) -> None:
    rng = np.random.default_rng([SEED, 1])
    assert false_alarms_of_tables(model, world, rng, 100, (200, 5000)) == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ("mean moved by 1 sd", 200),
        ("unit: all values × 10", 200),
        ("sensor stuck at the mean", 200),
        ("mean moved by 0.75 sd", 500),
        ("spread halved", 500),
        ("spread doubled", 5000),
    ],
)
def test_change_of_any_feature_alarms_in_95_of_100_weeks_as_promised(
    model: iris_model.IrisModel, world: World, change: str, rows: int
) -> None:
    rng, change_of = np.random.default_rng([SEED, 3]), FEATURE_CHANGES[change]
    assert detection_of_feature(model, world, rng, 40, rows, change_of) >= 0.95


def test_change_alarms_when_it_is_large(
    model: iris_model.IrisModel, world: World
) -> None:
    rng, moved = np.random.default_rng(3), FEATURE_CHANGES["mean moved by 1 sd"]
    assert detection_of_feature(model, world, rng, 5, 200, moved) == 1.0
    assert detection_of_mix(model, world, rng, 5, 200, (0.5, 0.5, 0.0)) == 1.0
    assert detection_of_mix(model, world, rng, 5, 200, None) == 0.0


# ---- the command ------------------------------------------------------------


def write(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join(lines))
    return str(path)


def test_drift_says_no_alarm_when_rows_are_those_of_the_table(
    tmp_path: Path, model: iris_model.IrisModel
) -> None:
    lines = list(make_records(model, rows_of_table(500, 1)))
    done = run_command("drift", write(tmp_path / "r.jsonl", lines))
    assert done.returncode == 0
    assert "500 rows of 500 requests against 150 rows" in done.stdout
    assert "6 comparisons are made together" in done.stdout
    assert done.stdout.count("  no alarm") == 6
    assert done.stderr == ""


def test_drift_alarms_when_a_feature_has_moved(
    tmp_path: Path, model: iris_model.IrisModel
) -> None:
    rows = rows_of_table(500, 1)
    rows = [row | {"sepal_width_cm": row["sepal_width_cm"] + 0.5} for row in rows]
    path = write(tmp_path / "r.jsonl", list(make_records(model, rows)))
    done = run_command("drift", path, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["state"] == "alarm"
    states = {one["name"]: one["state"] for one in found["comparisons"]}
    assert states == {
        "sepal_length_cm": "no alarm",
        "sepal_width_cm": "alarm",
        "petal_length_cm": "no alarm",
        "petal_width_cm": "no alarm",
        "label": "no alarm",
        "confidence": "no alarm",
    }
    [moved] = [one for one in found["comparisons"] if one["state"] == "alarm"]
    assert moved["psi"] > moved["psi_low"] > 0.1
    # Of each class too: it is the measurement that changed, not the mix.
    for label in ("setosa", "versicolor", "virginica"):
        within = found["within"][label]
        assert within["sepal_width_cm"]["psi"] > 0.5 > within["petal_width_cm"]["psi"]
    assert found["rule"]["comparisons"] == 6
    assert found["rule"]["false_alarms_of_a_run"] == 0.01


def test_drift_says_too_few_rows_when_there_are_199(
    tmp_path: Path, model: iris_model.IrisModel
) -> None:
    # All ten times too large: an alarm, if there were one row more.
    rows = [{k: v * 10 for k, v in row.items()} for row in rows_of_table(200, 1)]
    lines = list(make_records(model, rows))
    few = run_command("drift", write(tmp_path / "few.jsonl", lines[:199]))
    assert few.returncode == 2
    assert few.stdout.count("too few rows") == 6
    assert run_command("drift", write(tmp_path / "r.jsonl", lines)).returncode == 1


def test_answers_are_left_out_when_another_version_gave_them(
    tmp_path: Path, model: iris_model.IrisModel
) -> None:
    other = {"model": {"name": "iris_model", "version": "1.0.0"}}
    lines = list(make_records(model, rows_of_table(300, 1), **other))
    path = write(tmp_path / "r.jsonl", lines)
    done = run_command("drift", path)
    assert done.returncode == 2
    assert "300 rows were answered by 1.0.0: label and confidence left" in done.stdout
    assert run_command("drift", path, "--version", "1.0.0").returncode == 0


def test_features_and_confidence_are_left_out_when_records_hold_hashes(
    tmp_path: Path, model: iris_model.IrisModel
) -> None:
    hashed = {"inputs": ["ab" * 16]}
    lines = list(make_records(model, rows_of_table(300, 1), **hashed))
    done = run_command("drift", write(tmp_path / "r.jsonl", lines), "--json")
    assert done.returncode == 2
    found = json.loads(done.stdout)
    rows = {one["name"]: one["rows"] for one in found["comparisons"]}
    assert rows["label"] == found["records"]["hashed"] == 300
    # Rounded to less than the reference has, it would look like drift.
    assert rows["confidence"] == 0
    assert rows["petal_width_cm"] == 0


def test_only_the_time_asked_for_is_compared(
    tmp_path: Path, model: iris_model.IrisModel
) -> None:
    lines = list(make_records(model, rows_of_table(30, 1)))
    path = write(tmp_path / "r.jsonl", lines)
    done = run_command("drift", path, "--since", "2026-11-03", "--json")
    assert json.loads(done.stdout)["records"]["rows"] == 6


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file or directory"),
        ("no\n", "none of 1 lines is a record"),
    ],
)
def test_exit_code_is_3_and_no_alarm_when_nothing_can_be_compared(
    tmp_path: Path, content: str | None, says: str
) -> None:
    path = tmp_path / "r.jsonl"
    if content is not None:
        path.write_text(content)
    done = run_command("drift", str(path))
    assert (done.returncode, done.stdout) == (3, "")
    assert says in done.stderr


def test_damaged_lines_are_said_when_drift_passes_over_them(
    tmp_path: Path, model: iris_model.IrisModel
) -> None:
    lines = list(make_records(model, rows_of_table(300, 1)))
    done = run_command("drift", write(tmp_path / "r.jsonl", [*lines, lines[0][:40]]))
    assert done.returncode == 0
    assert "1  passed over: no JSON object, or cut short" in done.stderr


def test_drift_is_refused_when_the_manifest_has_no_reference(
    model: iris_model.IrisModel,
) -> None:
    older = dataclasses.replace(model.manifest, format=2, reference=None)
    with pytest.raises(RecordsUnusable, match="has no reference"):
        DriftTally(older)
