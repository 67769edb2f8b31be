"""
Measure one prediction, and loading, against the scikit-learn pipeline itself.

    python benchmarks/predict.py

Needs iris_model[train] and Linux. Medians over repeated runs; each ratio compares
figures of this run.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

SERVING = "import iris_model; iris_model.load()"
STUDYING = (
    "import sklearn, feature_engine, pandas, joblib, iris_model; "
    "iris_model.load_pipeline()"
)
PROBE = (
    "import time; t = time.perf_counter(); {0}; t = time.perf_counter() - t; "
    "import psutil; print(t, psutil.Process().memory_info().rss / 1e6)"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=2000, help="of model.predict")
    parser.add_argument("--repeats", type=int, default=7, help="of cold starts")
    options = parser.parse_args()
    compare_calls(options.calls)
    compare_starts(options.repeats)


def compare_calls(calls: int) -> None:
    """Print microseconds a row, asked one row at a time."""
    import pandas as pd

    from iris_model import load, load_pipeline

    model, pipeline = load(), load_pipeline()
    golden = model.manifest.golden_rows[0].values
    row = dict(zip(model.feature_names, golden, strict=True))
    frame = pd.DataFrame([row])
    fast = time_call(lambda: model.predict([row]), calls)
    slow = time_call(lambda: pipeline.predict_proba(frame), max(calls // 10, 20))
    print(f"model.predict, one row             {fast:10.1f} µs")
    print(f"pipeline.predict_proba, one row    {slow:10.1f} µs")
    print(f"ratio                              {slow / fast:10.1f}")


def time_call(call: Callable[[], object], calls: int) -> float:
    """Return the median duration in microseconds, after a warm-up."""
    durations = []
    for number in range(calls + calls // 10):
        begin = time.perf_counter_ns()
        call()
        if number >= calls // 10:
            durations.append(time.perf_counter_ns() - begin)
    return statistics.median(durations) / 1000


def compare_starts(repeats: int) -> None:
    """Print seconds and resident memory of fresh processes, taken in turn."""
    found: dict[str, list[tuple[float, float]]] = {SERVING: [], STUDYING: []}
    for _ in range(repeats):
        for code, figures in found.items():
            figures.append(start(code))
    for name, code in (("load()", SERVING), ("load_pipeline()", STUDYING)):
        seconds = statistics.median(figure[0] for figure in found[code])
        memory = statistics.median(figure[1] for figure in found[code])
        print(f"cold {name:<24} {seconds:13.2f} s  {memory:8.1f} MB")


def start(code: str) -> tuple[float, float]:
    command = [sys.executable, "-c", PROBE.format(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, memory = done.stdout.split()
    return float(seconds), float(memory)


if __name__ == "__main__":
    main()
