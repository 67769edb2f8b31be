"""How often the drift alert is wrong, and what it finds, on the real table."""

import csv
from pathlib import Path

import numpy as np
import yaml

TABLE = Path("packages/iris_model/src/iris_model/datasets/iris.csv")
RULES = Path("docker/prometheus/rules/alerts.yml")
LIMIT, ROWS, BINS = 0.25, 1000, 10
SEED = 1936


def read_table() -> np.ndarray:
    """Return the measurements, shape (rows, features)."""
    with TABLE.open(newline="") as file:
        rows = [list(row.values())[:-1] for row in csv.DictReader(file)]
    return np.array(rows, dtype=float)


def distances(training: np.ndarray, traffic: np.ndarray) -> list[float]:
    """Return what the recording rule computes, from the bins of manifest and API."""
    found = []
    for reference, values in zip(training.T, traffic.T):
        counts, edges = np.histogram(reference, BINS)
        shares = counts.cumsum() / counts.sum()
        # An edge's own values count above it, those of the last below: as the API does.
        ends = [*np.nextafter(edges[1:-1], -np.inf), edges[-1]]
        live = [(values <= end).mean() for end in ends]
        found.append(float(np.abs(live - shares).max()))
    return found


def test_limit_and_rows_are_those_of_the_alert() -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    asked = rules["FeatureDrift"]["expr"]
    assert f'ks6h{{role="live"}} > {LIMIT} and ' in asked
    assert asked.endswith(f">= {ROWS}")


def test_limit_is_passed_in_three_of_a_thousand_at_most_when_nothing_drifts() -> None:
    table, chance = read_table(), np.random.default_rng(SEED)
    # Another training table and other traffic each time, from the same population.
    passed = [
        np.array(distances(chance.choice(table, 150), chance.choice(table, ROWS)))
        > LIMIT
        for _ in range(2000)
    ]
    assert np.mean(passed, axis=0).max() <= 0.006


def test_limit_is_passed_each_time_when_a_feature_moves_by_its_spread() -> None:
    table, chance = read_table(), np.random.default_rng(SEED)
    for feature in range(table.shape[1]):
        for _ in range(50):
            traffic = chance.choice(table, ROWS)
            traffic[:, feature] += 0.9 * table[:, feature].std()
            found = distances(table, traffic)
            assert found[feature] > LIMIT
            others = found[:feature] + found[feature + 1 :]
            assert max(others) < LIMIT


def test_table_is_at_no_distance_from_itself() -> None:
    table = read_table()
    assert distances(table, np.tile(table, (7, 1))) == [0.0] * 4
