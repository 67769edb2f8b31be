"""
Measure ``iris-model score`` against pyarrow reading the same file and no more.

    python benchmarks/score.py --rows 100000 1000000 10000000

Needs iris_model[score] and psutil. Each figure is the median of ``--repeats`` runs
in processes of their own, reading and scoring in turn.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from iris_model import load

# With its first array pyarrow imports pandas, where there is one.
START = "import time, pyarrow; pyarrow.array([0]); t = time.perf_counter(); "
READ = {
    "csv": f"import pyarrow.csv as c; {START} c.read_csv({{0!r}})",
    "parquet": f"import pyarrow.parquet as p; {START} p.read_table({{0!r}})",
}
SCORE = f"from iris_model.score import score; {START} score({{0!r}}, {{1!r}})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    rows = [100_000, 1_000_000, 10_000_000]
    parser.add_argument("--rows", type=int, nargs="+", default=rows)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="scratch space (default: temporary)"
    )
    options = parser.parse_args()
    columns = ("read", "score", "ratio", "rows/s", "peak MB")
    print(f"{'rows':>12} {'in > out':>18}" + "".join(f"{c:>12}" for c in columns))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for count in options.rows:
            write_rows(Path(folder), count)
            for source in ("parquet", "csv"):
                for target in ("parquet", "csv"):
                    measure(Path(folder), count, source, target, options.repeats)


def write_rows(folder: Path, count: int) -> None:
    """Write rows like those of the training table, an id before them."""
    generator = np.random.default_rng(1936)
    table = {"id": pa.array(np.arange(count))}
    for feature in load().manifest.features:
        values = generator.uniform(feature.minimum, feature.maximum, count)
        table[feature.name] = pa.array(np.round(values, 1))
    csv.write_csv(pa.table(table), folder / "rows.csv")
    pq.write_table(pa.table(table), folder / "rows.parquet")


def measure(folder: Path, count: int, source: str, target: str, repeats: int) -> None:
    """Read and score in turn; print one line."""
    rows, out = str(folder / f"rows.{source}"), folder / f"out.{target}"
    read, scored, peaks = [], [], []
    for _ in range(repeats):
        read.append(run(READ[source].format(rows))[0])
        seconds, peak = run(SCORE.format(rows, str(out)))
        out.unlink()
        scored.append(seconds)
        peaks.append(peak)
    reading, scoring = statistics.median(read), statistics.median(scored)
    print(
        f"{count:>12,} {source:>8} > {target:<7}{reading:>10.2f} s{scoring:>10.2f} s"
        f"{reading / scoring:>12.2f}{count / scoring:>12,.0f}{max(peaks):>12.0f}",
        flush=True,
    )


def run(code: str) -> tuple[float, float]:
    """Return seconds without imports, and the peak MB of the process tree."""
    command = [sys.executable, "-c", f"{code}; print(time.perf_counter() - t)"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            tree = [watched, *watched.children(recursive=True)]
            peak = max(peak, sum(one.memory_info().rss for one in tree))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.02)
    output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(process.returncode)
    return float(output), peak / 1e6


if __name__ == "__main__":
    main()
