"""
Hashed records stay hashed: an attack with the model and every row there is.

Metrics are read before and after each request, and records as they come; then the rows
are counted with which all of it could have come about.
"""

import csv
import json
from importlib.resources import files
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from api_server import start_server
from prometheus_client.parser import text_string_to_metric_families

import iris_model

REQUESTS = 15
STEP_CM = 0.1
README = Path(__file__).parents[1] / "README.md"


class Candidates:
    """All rows in the ranges of the training table, and what the model says of them."""

    def __init__(self):
        model = iris_model.load()
        features = model.manifest.features
        self.names = [feature.name for feature in features]
        self.axes = [
            np.round(np.arange(f.minimum, f.maximum + STEP_CM / 2, STEP_CM), 1)
            for f in features
        ]
        grid = np.meshgrid(*self.axes, indexing="ij")
        self.rows = np.ascontiguousarray(np.stack(grid, -1).reshape(-1, len(self.axes)))
        parts = np.array_split(self.rows, 30)
        self.shares = np.concatenate([model.probabilities(part) for part in parts])
        self.classes = np.array(model.classes)
        self.labels = self.classes[self.shares.argmax(1)]

    def place(self, row):
        at = [
            int(np.flatnonzero(axis == row[name])[0])
            for axis, name in zip(self.axes, self.names, strict=True)
        ]
        return int(np.ravel_multi_index(at, [len(axis) for axis in self.axes]))

    def column(self, labels):
        """Return what a histogram is of: a feature's values, or the confidence."""
        if "feature" in labels:
            return self.rows[:, self.names.index(labels["feature"])]
        return self.shares.max(1)


@pytest.fixture(scope="module")
def candidates():
    return Candidates()


def sent_rows():
    table = files("iris_model") / "datasets" / "iris.csv"
    lines = csv.DictReader(table.read_text().splitlines())
    names = [f.name for f in iris_model.load().manifest.features]
    rows = [tuple((name, float(line[name])) for name in names) for line in lines]
    rows = [dict(row) for row in dict.fromkeys(rows)]
    return rows[:: len(rows) // REQUESTS][:REQUESTS]


def scraped(server):
    text = server.send("GET", "/metrics").body.decode()
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        if family.name.startswith("model_")
        for one in family.samples
    }


def fits_of(candidates, name, labels, grown):
    """Return which rows may have made a metric grow by so much; None: any may."""
    if name in ("model_feature_value_bucket", "model_confidence_ratio_bucket"):
        return (candidates.column(labels) <= float(labels["le"])) == grown
    if name in ("model_feature_value_sum", "model_confidence_ratio_sum"):
        return np.isclose(candidates.column(labels), grown, rtol=0, atol=1e-6)
    if name == "model_predictions_total":
        return (candidates.labels == labels["label"]) == grown
    return None


def possible(candidates, before, after, record):
    """Return which rows fit what was counted, and what is on record."""
    fits = candidates.labels == record["labels"][0]
    for label, share in record["probabilities"][0].items():
        exact = candidates.shares[:, list(candidates.classes).index(label)]
        decimals = len(str(share).partition(".")[2])
        fits &= np.abs(exact - share) <= 0.5001 * 10.0**-decimals
    for (name, pairs), value in after.items():
        grown = value - before.get((name, pairs), 0.0)
        told = fits_of(candidates, name, dict(pairs), grown)
        if told is not None:
            fits &= told
    return fits


@pytest.mark.slow
def test_a_hundred_rows_stay_possible_when_inputs_are_hashed(candidates, tmp_path):
    records, numbers = tmp_path / "records.jsonl", []
    settings = {"IRIS_API_RECORDS": str(records), "IRIS_API_RECORD_INPUTS": "hash"}
    with start_server(**settings) as server:
        before = scraped(server)
        for row in sent_rows():
            assert server.predict({"inputs": [row]}).status == 200
            after = scraped(server)
            record = json.loads(records.read_bytes().splitlines()[-1])
            fits = possible(candidates, before, after, record)
            assert fits[candidates.place(row)]
            numbers.append(int(fits.sum()))
            before = after
    assert median(numbers) >= 500, sorted(numbers)
    assert "at least 500 of 1,387,500" in README.read_text()


@pytest.mark.slow
def test_the_row_is_found_when_inputs_are_on_record(candidates, tmp_path):
    # The other side of the test above: the attack works.
    with start_server(IRIS_API_RECORDS=str(tmp_path / "records.jsonl")) as server:
        before = scraped(server)
        row = sent_rows()[3]
        assert server.predict({"inputs": [row]}).status == 200
        (record,) = server.read_records()
        fits = possible(candidates, before, scraped(server), record)
    assert fits.sum() == 1 and fits[candidates.place(row)]
