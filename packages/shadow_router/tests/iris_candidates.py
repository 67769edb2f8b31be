"""What a stranger has: published models, and every row of the table's resolution."""

import csv
import json
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime

from shadow_router.redaction.rounding import rounded_distance, rounded_margin

INDEX = Path(__file__).resolve().parents[3] / "packages" / "index" / "iris_model"
CLASSES = ("setosa", "versicolor", "virginica")
STEP_CM = 0.1
ROUNDED = {
    "total_variation": rounded_distance,
    "max_delta": rounded_distance,
    "live_margin": rounded_margin,
}


class Published:
    """The compiled model in a published wheel, and what its manifest says."""

    def __init__(self, version):
        self.version = version
        wheel = INDEX / f"iris_model-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel) as archive:
            model = archive.read("iris_model/trained/model.onnx")
            manifest = json.loads(archive.read("iris_model/trained/manifest.json"))
            table = archive.read("iris_model/datasets/iris.csv").decode()
        self._session = onnxruntime.InferenceSession(model)
        self.features = manifest["features"]
        self.names = [feature["name"] for feature in self.features]
        lines = csv.DictReader(table.splitlines())
        self.table = [
            {name: float(line[name]) for name in self.names} for line in lines
        ]

    def probabilities(self, rows):
        parts = np.array_split(np.ascontiguousarray(rows), max(len(rows) // 50_000, 1))
        answers = [self._session.run(["probabilities"], {"rows": p})[0] for p in parts]
        return np.concatenate(answers)

    def answer(self, row):
        """Return the document that the API answers to one row."""
        shares = self.probabilities(np.array([[row[name] for name in self.names]]))[0]
        prediction = {
            "label": CLASSES[shares.argmax()],
            "probabilities": dict(zip(CLASSES, shares.tolist(), strict=True)),
            "out_of_range": [],
        }
        model = {"name": "iris_model", "version": self.version}
        return {"model": model, "predictions": [prediction]}


@cache
def published(version):
    return Published(version)


class Candidates:
    """All rows in the ranges of the training table, and what both versions say."""

    def __init__(self, live, shadow):
        self.names = live.names
        self.axes = [
            np.round(np.arange(f["minimum"], f["maximum"] + STEP_CM / 2, STEP_CM), 1)
            for f in live.features
        ]
        grid = np.meshgrid(*self.axes, indexing="ij")
        self.rows = np.stack(grid, -1).reshape(-1, len(self.axes))
        self.live, self.shadow = (
            model.probabilities(self.rows) for model in (live, shadow)
        )
        moved, ordered = np.abs(self.live - self.shadow), np.sort(self.live, 1)
        self.exact = {
            "total_variation": moved.sum(1) / 2,
            "max_delta": moved.max(1),
            "live_margin": ordered[:, -1] - ordered[:, -2],
        }
        self.rounded = {
            name: np.array([ROUNDED[name](value) for value in values.tolist()])
            for name, values in self.exact.items()
        }
        self.live_label, self.shadow_label = (
            np.array(CLASSES)[answers.argmax(1)] for answers in (self.live, self.shadow)
        )

    def fitting(self, name, told):
        """Return which rows may be the one of which a number is told."""
        rounded = abs(self.rounded[name] - told) < 1e-9
        # A number that is none of the rounded ones was not rounded.
        return rounded if rounded.any() else abs(self.exact[name] - told) < 1e-9

    def column(self, name):
        return self.rows[:, self.names.index(name)]

    def place(self, row):
        """Return where a row is among them."""
        at = [
            int(np.flatnonzero(axis == row[name])[0])
            for axis, name in zip(self.axes, self.names, strict=True)
        ]
        return int(np.ravel_multi_index(at, self.shape))

    @property
    def shape(self):
        return [len(axis) for axis in self.axes]

    def alike(self, columns, place, name):
        """Return how many values of one feature give the same in all columns."""
        at = list(np.unravel_index(place, self.shape))
        at[self.names.index(name)] = slice(None)
        lines = ((one.reshape(self.shape)[tuple(at)], one[place]) for one in columns)
        return int(np.all([line == told for line, told in lines], axis=0).sum())
