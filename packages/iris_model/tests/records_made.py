"""Records as the API writes them, made of the training table."""

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

import iris_model
from iris_model.cli import main
from iris_model.config import load_config
from iris_model.data import load_table

BEGIN = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday


@dataclass
class Done:
    """What a command answered."""

    returncode: int
    stdout: str
    stderr: str


def run_command(*arguments: str, stdin: str = "") -> Done:
    """Run a command in this process, which has imported all it needs."""
    out, talk = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    source = io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(talk),
        _reading(source),
    ):
        code = main(list(arguments))
    out.flush()
    return Done(code, out.buffer.getvalue().decode(), talk.getvalue())


@contextlib.contextmanager
def _reading(source: io.TextIOWrapper) -> Iterator[None]:
    before, sys.stdin = sys.stdin, source
    try:
        yield
    finally:
        sys.stdin = before


def rows_of_table(count: int, seed: int) -> list[dict[str, float]]:
    """Return rows near those of the training table, within its range."""
    table = load_table(load_config()).rows
    rng = np.random.default_rng(seed)
    chosen = table.iloc[rng.integers(0, len(table), count)]
    moved = chosen + rng.normal(0, 0.03, chosen.shape)
    moved = moved.clip(table.min(), table.max(), axis=1)
    return [dict(zip(table.columns, row)) for row in moved.round(2).to_numpy().tolist()]


def make_records(
    asked: iris_model.IrisModel,
    rows: list[dict[str, float]],
    *,
    minutes: int = 60,
    **changes: object,
) -> Iterator[str]:
    """Yield a line for each row, an hour apart, answered by the model."""
    for number, (row, answer) in enumerate(zip(rows, asked.predict(rows))):
        time = BEGIN + timedelta(minutes=minutes * number)
        record = {
            "request_id": f"r{number}",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "time": time.isoformat(timespec="milliseconds"),
            "model": {"name": "iris_model", "version": iris_model.__version__},
            "inputs": [row],
            "labels": [answer.label],
            "probabilities": [answer.probabilities],
            "duration_ms": 0.2,
        }
        yield json.dumps({**record, **changes})
