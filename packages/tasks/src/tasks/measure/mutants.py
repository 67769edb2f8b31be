"""
The mutants: the model with one defect each, and what the defect is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from iris_model import __version__
from iris_model.config import StepConfig
from shadow_router.values import Observation
from tasks.measure.spoiling import (
    SEED,
    Answers,
    Matrix,
    Model,
    answering,
    edited,
    misfed,
    numbers,
    observed,
    relabelled,
    retrained,
    session,
    step,
)

STALE = Path("packages/index/iris_model/iris_model-1.0.0-py3-none-any.whl")


def capping(**options: Any) -> tuple[StepConfig, ...]:
    """Return the model's one step with other options."""
    kept = {"capping_method": "gaussian", "tail": "both", "fold": 3}
    return (step("Winsorizer", **{**kept, **options}),)


def row_of(content: Any) -> Any:
    """Return the one row of an answer."""
    return content["predictions"][0]


def renamed_classes(model: Model, order: list[int]) -> Answers:
    """Return the model's answers under names in another order."""
    return answering([model.classes[at] for at in order], model.original)


def stale(model: Model) -> Answers:
    """Return the answers of a wheel that was published long before."""
    with ZipFile(STALE) as wheel:
        old = session(wheel.read("iris_model/trained/model.onnx"))
    return answering(model.classes, old(model.rows))


def rarely(change: Callable[[Any], object], every: int) -> Callable[[Any, int], object]:
    """Return an edit of one answer in so many."""
    return lambda content, i: change(content) if i % every == every - 1 else None


def set_probability(value: float) -> Callable[[Any], object]:
    """Return an edit of the first probability."""

    def change(content: Any) -> None:
        table = row_of(content)["probabilities"]
        table[next(iter(table))] = value

    return change


def next_label(content: Any) -> None:
    """Give a row the label after its own."""
    names = list(row_of(content)["probabilities"])
    at = names.index(row_of(content)["label"])
    row_of(content)["label"] = names[(at + 1) % len(names)]


def text_numbers(content: Any, i: int) -> None:
    """Write probabilities as text."""
    table = row_of(content)["probabilities"]
    row_of(content)["probabilities"] = {name: str(p) for name, p in table.items()}


def without_last_class(content: Any, i: int) -> None:
    """Leave a class out and share its probability among the others."""
    table = row_of(content)["probabilities"]
    table.pop(list(table)[-1])
    total = sum(table.values()) or 1.0
    row_of(content)["probabilities"] = {k: min(p / total, 1) for k, p in table.items()}


def heated(temperature: float) -> Callable[[Matrix], Matrix]:
    """Return a change of probabilities by a temperature."""

    def change(p: Matrix) -> Matrix:
        powers = np.maximum(p, 1e-300) ** (1 / temperature)
        made: Matrix = powers / powers.sum(axis=1, keepdims=True)
        return made

    return change


def noisy(p: Matrix) -> Matrix:
    """Return probabilities moved at random by 0.0001, never out of their range."""
    generator = np.random.default_rng(SEED)
    made: Matrix = np.clip(p + generator.normal(0, 1e-4, p.shape), 0, 1)
    return made


def delayed(model: Model) -> Answers:
    """Answer a request with what belongs to the request before."""
    return answering(model.classes, np.roll(model.original, 1, axis=0))


def slow(model: Model) -> Answers:
    """Answer right, in twice the time."""
    plain = answering(model.classes, model.original)

    def answer(i: int) -> Observation:
        found = plain(i)
        return found._replace(latency_ms=2.0)

    return answer


def swapped_halfway(content: Any, i: int) -> None:
    """Become another version after 500 answers."""
    content["model"]["version"] = "9.9.9" if i >= 500 else __version__


def with_mean(rows: Matrix) -> Matrix:
    """Replace the last measurement by its mean."""
    rows[:, -1] = rows[:, -1].mean()
    return rows


def close_to_second(p: Matrix) -> Any:
    """Choose the second class where the first leads by less than 0.2."""
    order, ranked = np.argsort(p, axis=1), np.sort(p, axis=1)
    is_close = ranked[:, -1] - ranked[:, -2] < 0.2
    return np.where(is_close, order[:, -2], order[:, -1])


def best(p: Matrix) -> Any:
    """Choose the likeliest class."""
    return p.argmax(axis=1)


LOGISTIC = step("LogisticRegression", max_iter=1000)
SHRUNK = step("LinearDiscriminantAnalysis", solver="lsqr", shrinkage=0.1)
Build = Callable[[Model], Answers]
MUTANTS: dict[str, tuple[str, Build]] = {
    "recompiled": ("trained and compiled again, nothing changed", retrained()),
    "swapped classes": (
        "two classes have each other's name",
        lambda m: renamed_classes(m, [0, 2, 1]),
    ),
    "off-by-one classes": (
        "every name belongs to the next column",
        lambda m: renamed_classes(m, [1, 2, 0]),
    ),
    "off-by-one label": (
        "the label is the next class, the probabilities are right",
        relabelled(lambda p: best(p) + 1),
    ),
    "least likely": ("argmin for argmax", relabelled(lambda p: p.argmin(axis=1))),
    "second when close": (
        "the second class at margins below 0.2",
        relabelled(close_to_second),
    ),
    "constant answer": (
        "always the answer to the first input",
        numbers(lambda p: np.tile(p[:1], (len(p), 1))),
    ),
    "uniform": ("equal probabilities", numbers(lambda p: np.full_like(p, 1 / 3))),
    "upper-case label": (
        "a label in capitals",
        edited(lambda c, i: row_of(c).update(label=row_of(c)["label"].upper())),
    ),
    "numbered label": ("0 for a name", edited(lambda c, i: row_of(c).update(label=0))),
    "missing label": (
        "null on one input in 50",
        edited(rarely(lambda c: row_of(c).update(label=None), 50)),
    ),
    "missing class": (
        "a class left out, the others scaled up",
        edited(without_last_class),
    ),
    "wrong feature order": (
        "the first two measurements exchanged",
        misfed(lambda x: x[:, [1, 0, 2, 3]]),
    ),
    "reversed features": ("all measurements backwards", misfed(lambda x: x[:, ::-1])),
    "shifted scaler": ("0.1 added to every measurement", misfed(lambda x: x + 0.1)),
    "slightly shifted scaler": (
        "0.001 added to every measurement",
        misfed(lambda x: x + 0.001),
    ),
    "wrong unit": ("millimetres for centimetres", misfed(lambda x: x * 10)),
    "dropped feature": ("the last measurement is its mean", misfed(with_mean)),
    "rounded inputs": ("measurements to one decimal", misfed(lambda x: np.round(x, 1))),
    "dropped step": ("no capping, compiled again", retrained(steps=())),
    "capped too soon": (
        "capping at 1 deviation for 3",
        retrained(steps=capping(fold=1)),
    ),
    "capped on one side": (
        "capping large values alone",
        retrained(steps=capping(tail="right")),
    ),
    "other classifier": ("logistic regression", retrained(classifier=LOGISTIC)),
    "shrunk classifier": ("shrinkage of 0.1", retrained(classifier=SHRUNK)),
    "fewer rows": ("trained without every tenth flower", retrained(every=10)),
    "stale version": ("the artefact of version 1.0.0", stale),
    "float32": (
        "probabilities in single precision",
        numbers(lambda p: p.astype(np.float32).astype(np.float64)),
    ),
    "float32 inputs": (
        "measurements in single precision",
        misfed(lambda x: x.astype(np.float32).astype(np.float64)),
    ),
    "three decimals": (
        "probabilities to three decimals",
        numbers(lambda p: np.round(p, 3)),
    ),
    "twelve decimals": (
        "probabilities to twelve decimals",
        numbers(lambda p: np.round(p, 12)),
    ),
    "temperature 1.5": ("less sure of everything", numbers(heated(1.5))),
    "temperature 1.01": ("slightly less sure", numbers(heated(1.01))),
    "clipped": (
        "probabilities from 0.01 to 0.99",
        numbers(lambda p: np.clip(p, 0.01, 0.99)),
    ),
    "squared": ("squares that do not sum to 1", numbers(lambda p: p**2)),
    "noise": ("a random 0.0001 on every probability", numbers(noisy)),
    "NaN": (
        "a probability that is NaN on one input in 50",
        edited(rarely(set_probability(float("nan")), 50)),
    ),
    "above one": (
        "a probability of 1.2 on one input in 50",
        edited(rarely(set_probability(1.2), 50)),
    ),
    "text numbers": ("probabilities as text", edited(text_numbers)),
    "missing field": (
        "no `out_of_range`",
        edited(lambda c, i: row_of(c).pop("out_of_range") and None),
    ),
    "extra field": ("a field `debug`", edited(lambda c, i: c.update(debug=True))),
    "dropped row": (
        "no row on one input in 50",
        edited(rarely(lambda c: c["predictions"].clear(), 50)),
    ),
    "failing": (
        "status 500 on one input in 50",
        edited(rarely(lambda c: observed(c, 500), 50)),
    ),
    "rare flips": ("another label on one input in 25", edited(rarely(next_label, 25))),
    "very rare flips": (
        "another label on one input in 500",
        edited(rarely(next_label, 500)),
    ),
    "late by one": ("each answer is that to the request before", delayed),
    "slow": ("right, in twice the time", slow),
    "swapped halfway": (
        "says it is another version after 500 answers",
        edited(swapped_halfway),
    ),
}
