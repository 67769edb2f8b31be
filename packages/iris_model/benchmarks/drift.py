"""
Measure `iris-model drift` on weeks that are made up: how often it alarms without a
cause, and how many rows it needs to notice one. Writes the tables of docs/drift.md.

The world is smooth: each class normal, with the means and covariances of the training
table. A week is drawn from it, not from the table, and not rounded as that is.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_predict

import iris_model
from iris_model.config import PACKAGED_CONFIG, load_config
from iris_model.data import Table, load_table
from iris_model.drift import FALSE_ALARMS
from iris_model.drift_tally import DriftTally
from iris_model.pipeline import build_pipeline
from iris_model.reference import build_reference

DOCUMENT = Path(__file__).parents[3] / "docs" / "drift.md"
SIZES = (200, 500, 1000, 5000)
SEED = 1936
FEATURE_CHANGES: dict[str, Callable] = {
    "mean moved by 0.25 sd": lambda x, mean, sd, rng: x + 0.25 * sd,
    "mean moved by 0.5 sd": lambda x, mean, sd, rng: x + 0.5 * sd,
    "mean moved by 0.75 sd": lambda x, mean, sd, rng: x + 0.75 * sd,
    "mean moved by 1 sd": lambda x, mean, sd, rng: x + sd,
    "spread halved": lambda x, mean, sd, rng: mean + (x - mean) / 2,
    "spread doubled": lambda x, mean, sd, rng: mean + (x - mean) * 2,
    "unit: all values × 10": lambda x, mean, sd, rng: x * 10,
    "unit: 1 row in 5 × 10": lambda x, mean, sd, rng: np.where(
        rng.random(len(x)) < 0.2, x * 10, x
    ),
    "sensor stuck at the mean": lambda x, mean, sd, rng: np.full_like(x, mean),
}
MIX_CHANGES = {
    "classes 40 : 30 : 30": (0.4, 0.3, 0.3),
    "classes 50 : 25 : 25": (0.5, 0.25, 0.25),
    "classes 60 : 20 : 20": (0.6, 0.2, 0.2),
    "one class gone": (0.5, 0.5, 0.0),
}


class World:
    """Where weeks come from: each class normal, as the table has it."""

    def __init__(self, table: Table) -> None:
        self.classes = sorted(set(table.labels))
        rows, labels = table.rows.to_numpy(), table.labels.to_numpy()
        self.means = [rows[labels == name].mean(axis=0) for name in self.classes]
        self.covariances = [np.cov(rows[labels == name].T) for name in self.classes]
        self.mean, self.sd = rows.mean(axis=0), rows.std(axis=0)

    def draw(
        self, rng: np.random.Generator, counts: list[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows, so many of each class, and their classes."""
        drawn = [
            rng.multivariate_normal(mean, covariance, count)
            for mean, covariance, count in zip(self.means, self.covariances, counts)
        ]
        return np.concatenate(drawn).clip(min=0.01), np.repeat(self.classes, counts)

    def week(self, rng: np.random.Generator, rows: int, shares=None) -> np.ndarray:
        """Return the rows of a week; all classes alike unless told otherwise."""
        shares = shares or [1 / len(self.classes)] * len(self.classes)
        return self.draw(rng, list(rng.multinomial(rows, shares)))[0]


def alarms(manifest, matrix: np.ndarray, answers: np.ndarray) -> set[str]:
    """Return what alarms in a week."""
    tally = DriftTally(manifest)
    winners = answers.argmax(axis=1)
    tally.add_inputs(matrix, winners)
    tally.add_answers(winners)
    tally.add_confidence(answers.max(axis=1))
    return {one.name for one in tally.compare() if one.state == "alarm"}


def false_alarms_of_model(
    model, world: World, rng: np.random.Generator, weeks: int, rows: int
) -> int:
    """Return in how many undisturbed weeks the shipped model's reference alarms."""
    found = 0
    for _ in range(weeks):
        matrix = world.week(rng, rows)
        found += bool(alarms(model.manifest, matrix, model.probabilities(matrix)))
    return found


def false_alarms_of_tables(
    model, world: World, rng: np.random.Generator, tables: int, sizes: tuple[int, ...]
) -> list[int]:
    """Return the same by size, each week with a table and a model of its own."""
    config, manifest = load_config(), model.manifest
    names = list(manifest.feature_names)
    per_class = manifest.table_rows // len(world.classes)
    found = [0] * len(sizes)
    for number in range(tables):
        rows, labels = world.draw(rng, [per_class] * len(world.classes))
        rows = pd.DataFrame(rows.round(1), columns=names)
        labels = pd.Series(labels.astype(object))
        pipeline = build_pipeline(config)
        folds = StratifiedKFold(config.folds, shuffle=True, random_state=number)
        unseen = cross_val_predict(
            clone(pipeline), rows, labels, cv=folds, method="predict_proba"
        )
        pipeline.fit(rows, labels)
        reference = build_reference(rows.to_numpy(), names, world.classes, unseen)
        own = dataclasses.replace(manifest, reference=reference)
        for place, size in enumerate(sizes):
            matrix = world.week(rng, size)
            answers = pipeline.predict_proba(pd.DataFrame(matrix, columns=names))
            found[place] += bool(alarms(own, matrix, answers))
    return found


def share_detected(
    model, rng: np.random.Generator, weeks: int, draw: Callable
) -> float:
    """Return in which share of weeks a disturbance alarms."""
    found = 0
    for _ in range(weeks):
        matrix = draw(rng)
        found += bool(alarms(model.manifest, matrix, model.probabilities(matrix)))
    return found / weeks


def detection_of_feature(
    model, world: World, rng: np.random.Generator, weeks: int, rows: int, change
) -> float:
    """Return the share for the feature where it is smallest."""

    def draw_with(place: int) -> Callable:
        def draw(rng: np.random.Generator) -> np.ndarray:
            matrix = world.week(rng, rows)
            column = matrix[:, place]
            matrix[:, place] = change(column, world.mean[place], world.sd[place], rng)
            return matrix

        return draw

    places = range(len(world.mean))
    return min(share_detected(model, rng, weeks, draw_with(p)) for p in places)


def detection_of_mix(
    model, world: World, rng: np.random.Generator, weeks: int, rows: int, shares
) -> float:
    """Return the share for another mix of classes."""
    return share_detected(model, rng, weeks, lambda rng: world.week(rng, rows, shares))


def tabulate_false_alarms(model, world: World, weeks: int, tables: int) -> list[str]:
    """Return the first table of the document."""
    lines = [
        "| reference | rows a week | weeks | with an alarm | at most, 95 % sure |",
        "|---|---|---|---|---|",
    ]

    def add(what: str, rows: int, weeks: int, found: int) -> None:
        high = stats.binomtest(found, weeks, alternative="less").proportion_ci(0.95)
        lines.append(f"| {what} | {rows:,} | {weeks:,} | {found} | {high.high:.2%} |")

    for rows in SIZES:
        rng = np.random.default_rng([SEED, rows])
        found = false_alarms_of_model(model, world, rng, weeks, rows)
        add(f"that of {iris_model.__version__}", rows, weeks, found)
        print(lines[-1], file=sys.stderr)
    rng = np.random.default_rng([SEED, 1])
    each = false_alarms_of_tables(model, world, rng, tables, SIZES)
    for rows, found in zip(SIZES, each):
        add("a new table and model for each week", rows, tables, found)
        print(lines[-1], file=sys.stderr)
    return lines


def tabulate_detection(model, world: World, weeks: int) -> list[str]:
    """Return the second table."""
    sizes = " | ".join(f"{rows:,} rows" for rows in SIZES)
    lines = [f"| change | {sizes} |", "|---" * (len(SIZES) + 1) + "|"]
    of_feature = [
        (name, detection_of_feature, change) for name, change in FEATURE_CHANGES.items()
    ]
    of_mix = [(name, detection_of_mix, shares) for name, shares in MIX_CHANGES.items()]
    for name, detect, change in of_feature + of_mix:
        rng = np.random.default_rng([SEED, 2])
        found = [detect(model, world, rng, weeks, rows, change) for rows in SIZES]
        cells = " | ".join(f"{share:.0%}" for share in found)
        lines.append(f"| {name} | {cells} |")
        print(lines[-1], file=sys.stderr)
    return lines


def write_tables(tables: dict[str, list[str]]) -> None:
    """Put tables into the document, each between its marks."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, lines in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        inside = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        assert inside.search(text), name
        filled = begin + "\n".join(["", *lines, "", ""]) + end
        text = inside.sub(lambda _: filled, text)
    DOCUMENT.write_text(text, encoding="utf-8")


def main() -> None:
    """Simulate, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=1000, help="undisturbed ones")
    parser.add_argument("--tables", type=int, default=300, help="new ones")
    parser.add_argument("--disturbed", type=int, default=100, help="of each kind")
    options = parser.parse_args()
    model, world = iris_model.load(), World(load_table(load_config(PACKAGED_CONFIG)))
    print(f"promised: {FALSE_ALARMS:.0%} of undisturbed runs alarm", file=sys.stderr)
    tables = {
        "false alarms": tabulate_false_alarms(
            model, world, options.weeks, options.tables
        ),
        "detection": tabulate_detection(model, world, options.disturbed),
    }
    write_tables(tables)


if __name__ == "__main__":
    main()
