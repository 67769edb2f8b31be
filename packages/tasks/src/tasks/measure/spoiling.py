"""
Answers of the model, as it is and spoilt: the material that mutants are made of.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from iris_model import __version__
from iris_model.compile import compile_pipeline
from iris_model.config import StepConfig, load_config
from iris_model.data import load_table
from iris_model.pipeline import build_pipeline
from shadow_router.values import Observation

Matrix = npt.NDArray[np.float64]
#: What a mutant answers to the input of that number.
Answers = Callable[[int], Observation]

INPUTS = 4000
SEED = 1936
#: Standard deviation of the traffic about the table's rows, in ranges of the feature.
SPREAD = 0.1


@dataclass(frozen=True)
class Model:
    """The unspoilt model, its training and the traffic it is asked."""

    rows: Matrix

    @cached_property
    def config(self) -> Any:
        """Return the configuration of the installed package."""
        return load_config()

    @cached_property
    def table(self) -> Any:
        """Return the training table."""
        return load_table(self.config)

    @cached_property
    def original(self) -> Matrix:
        """Return the probabilities of the model as it is."""
        return self.trained()(self.rows)

    @cached_property
    def classes(self) -> list[str]:
        """Return the names of the classes in the order of the columns."""
        return sorted(set(self.table.labels))

    def trained(self, every: int = 0, **changes: Any) -> Callable[[Matrix], Matrix]:
        """Train with another configuration, or without some rows, and compile."""
        config = replace(self.config, **changes)
        rows, labels = self.table.rows, self.table.labels
        if every:
            kept = np.arange(len(rows)) % every != 0
            rows, labels = rows[kept], labels[kept]
        pipeline = build_pipeline(config).fit(rows, labels)
        return session(compile_pipeline(pipeline))


def session(model_bytes: bytes) -> Callable[[Matrix], Matrix]:
    """Return a compiled model as a function from rows to probabilities."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    loaded = onnxruntime.InferenceSession(
        model_bytes, options, providers=["CPUExecutionProvider"]
    )
    name, wanted = loaded.get_inputs()[0].name, loaded.get_outputs()[-1].name

    def run(rows: Matrix) -> Matrix:
        answer: Matrix = loaded.run([wanted], {name: np.ascontiguousarray(rows)})[0]
        return answer

    return run


def draw_traffic() -> Matrix:
    """Return rows about those of the training table, each a new one."""
    table = load_table(load_config()).rows.to_numpy(dtype=np.float64)
    generator = np.random.default_rng(SEED)
    chosen = table[generator.integers(len(table), size=INPUTS)]
    moved = generator.normal(0.0, SPREAD * np.ptp(table, axis=0), chosen.shape)
    return np.abs(chosen + moved).round(4)


def document(label: object, table: object, version: str = __version__) -> Any:
    """Return an answer of the API to one row."""
    row = {"label": label, "probabilities": table, "out_of_range": []}
    return {"model": {"name": "m", "version": version}, "predictions": [row]}


def observed(content: object, status: int = 200) -> Observation:
    """Return a document as the router sees it; its latency is the same for all."""
    body = json.dumps(content).encode()
    return Observation(status, "application/json", "", body, 1.0)


def answering(
    classes: list[str], probabilities: Matrix, labels: list[str] | None = None
) -> Answers:
    """Return answers of these probabilities, by default with the likeliest label."""
    if labels is None:
        labels = [classes[at] for at in probabilities.argmax(axis=1)]
    told = labels
    rows = probabilities.tolist()
    return lambda i: observed(
        document(told[i], dict(zip(classes, rows[i], strict=True)))
    )


def edited(edit: Callable[[Any, int], object]) -> Callable[[Model], Answers]:
    """Return a mutant whose answers are the model's, edited as documents."""

    def build(model: Model) -> Answers:
        plain = answering(model.classes, model.original)

        def answer(i: int) -> Observation:
            found = plain(i)
            content = json.loads(found.body)
            made = edit(content, i)
            return made if isinstance(made, Observation) else observed(content)

        return answer

    return build


def numbers(change: Callable[[Matrix], Matrix]) -> Callable[[Model], Answers]:
    """Return a mutant whose probabilities are the model's, changed."""
    return lambda model: answering(model.classes, change(model.original.copy()))


def relabelled(choose: Callable[[Matrix], Any]) -> Callable[[Model], Answers]:
    """Return a mutant with the model's probabilities and labels of its own."""

    def build(model: Model) -> Answers:
        places = choose(model.original) % len(model.classes)
        labels = [model.classes[at] for at in places]
        return answering(model.classes, model.original, labels)

    return build


def misfed(change: Callable[[Matrix], Matrix]) -> Callable[[Model], Answers]:
    """Return a mutant that is the model, asked about other numbers."""
    return lambda model: answering(
        model.classes, model.trained()(change(model.rows.copy()))
    )


def retrained(every: int = 0, **changes: Any) -> Callable[[Model], Answers]:
    """Return a mutant from a changed configuration or table, compiled again."""
    return lambda model: answering(
        model.classes, model.trained(every, **changes)(model.rows)
    )


def step(kind: str, **options: Any) -> StepConfig:
    """Return a step as a configuration file would have it."""
    return StepConfig(name=kind, kind=kind, options=options, lines={"": 0})
