"""
The ``iris-model`` command: ``train``, ``predict``, ``score``, ``card``, ``records``
and ``drift``, of which the last two have modules of their own.

stdout is data, stderr is talk. Exit codes: 0 done, 1 a gate of ``train`` is red,
3 done but for some rows or lines, 78 refused with a reason, those of ``exit_codes``;
1 to 3 of ``drift`` are its own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iris_model import __version__
from iris_model.drift_command import add_drift_command
from iris_model.errors import (
    ExtraMissing,
    InvalidRows,
    IrisModelError,
    RowProblem,
    TrainingFailed,
)
from iris_model.exit_codes import REFUSED, exit_code
from iris_model.records_command import add_records_command
from iris_model.systems import refuse_other_systems

if TYPE_CHECKING:
    from iris_model.score import Summary
    from iris_model.train import Training

REASONS_SHOWN = 5
# The first that fits.
CODES: dict[type[Exception], int] = {TrainingFailed: 1, IrisModelError: REFUSED}


def main(arguments: list[str] | None = None) -> int:
    """
    Run one command and return its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        Those of the process when left out.
    """
    refuse_other_systems("iris-model")
    # Before onnxruntime is imported, which would write to the home folder and send.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return exit_code("iris-model", lambda: _run(arguments), CODES)


def _run(arguments: list[str] | None) -> int:
    options = _build_parser().parse_args(arguments)
    return int(options.run(options))


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="iris-model", description="Train the model, or ask it."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train", help="train and write an artefact (needs iris_model[train])"
    )
    train.add_argument("--config", type=Path, help="default: the packaged config.yml")
    train.add_argument("--output", type=Path, required=True, help="artefact folder")
    train.add_argument(
        "--published",
        type=Path,
        metavar="FOLDER",
        help="wheels that the model must not be worse than",
    )
    train.add_argument("--report", type=Path, help="write an HTML report there")
    train.set_defaults(run=_train)

    predict = commands.add_parser(
        "predict", help="answer JSON rows with one JSON line each"
    )
    predict.add_argument(
        "file",
        nargs="?",
        default="-",
        help="a JSON list of rows, each an object by feature name (default: stdin)",
    )
    predict.set_defaults(run=_predict)

    card = commands.add_parser("card", help="print the model card as Markdown")
    card.set_defaults(run=_card)

    score = commands.add_parser(
        "score",
        help="answer a CSV or Parquet file row by row (needs iris_model[score])",
    )
    score.add_argument(
        "input", metavar="INPUT", help="path or URL of a file or folder, or a pattern"
    )
    score.add_argument(
        "output", metavar="OUTPUT", help="path or URL of a .csv or .parquet file"
    )
    score.add_argument(
        "--scheduler",
        metavar="URL",
        help="Dask scheduler, tcp://host:8786 (default: this machine's threads)",
    )
    score.set_defaults(run=_score)

    add_records_command(commands)
    add_drift_command(commands)
    return parser


def _train(options: argparse.Namespace) -> int:
    try:
        from rich.console import Console
        from rich.progress import Progress

        from iris_model.config import PACKAGED_CONFIG, load_config
        from iris_model.train import train
    except ModuleNotFoundError as error:
        raise ExtraMissing("training", error.name, "train") from None
    config = load_config(options.config or PACKAGED_CONFIG)
    # tox paints red what arrives on standard error.
    console = Console()
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("cross-validating", total=None)
        training = train(
            config,
            options.output,
            lambda done, total: bar.update(task, completed=done, total=total),
            options.published,
        )
    _print_training(training)
    if options.report:
        from iris_model.report import write_report

        write_report(training, options.report)
        print(f"report: {options.report}")
    return 0


def _print_training(training: Training) -> None:
    """Print what was trained as two tables."""
    from rich.console import Console
    from rich.table import Table

    manifest = training.manifest
    metrics = manifest.metrics
    scores = Table(title=f"{manifest.model_name} {manifest.model_version}")
    for column in ("cross-validated", "mean", "sd"):
        scores.add_column(column, justify="left" if column[0] == "c" else "right")
    for name, score in (
        ("accuracy", metrics.accuracy),
        ("macro-F1", metrics.macro_f1),
        ("log-loss", metrics.log_loss),
    ):
        scores.add_row(name, f"{score.mean:.4f}", f"{score.standard_deviation:.4f}")
    scores.add_section()
    for label, of_class in metrics.classes.items():
        scores.add_row(f"F1 of {label}", f"{of_class.f1:.4f}", "")
    faces = Table()
    for column in ("face", "bytes", "sha256"):
        faces.add_column(column, justify="right" if column == "bytes" else "left")
    for name, face in manifest.faces.items():
        faces.add_row(name, f"{face.size_bytes:,}", face.sha256)
    console = Console(width=None if sys.stdout.isatty() else 100)
    # Printed by us: rich itself ends with 1 where nobody reads.
    with console.capture() as tables:
        console.print(scores, faces)
    parity = manifest.parity
    print(tables.get(), end="")
    print(
        f"parity: {parity.rows:,} rows, {parity.labels_differing} labels differ, "
        f"largest difference {parity.largest_difference:.1e}"
    )


def _predict(options: argparse.Namespace) -> int:
    from iris_model.model import load

    model = load()
    for prediction in model.predict(_read_rows(options.file)):
        line = {
            "label": prediction.label,
            "probabilities": prediction.probabilities,
            "out_of_range": prediction.out_of_range,
        }
        print(json.dumps(line))
    return 0


def _card(options: argparse.Namespace) -> int:
    from iris_model.artefact import load_artefact
    from iris_model.card import build_card

    print(build_card(load_artefact().manifest), end="")
    return 0


def _score(options: argparse.Namespace) -> int:
    try:
        from rich.console import Console
        from rich.progress import Progress

        from iris_model.score import score
    except ModuleNotFoundError as error:
        raise ExtraMissing("scoring files", error.name, "score") from None
    # A stop from outside has to clean up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("scoring", total=None)
        summary = score(
            options.input,
            options.output,
            options.scheduler,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    _print_summary(summary)
    return 3 if summary.refused else 0


def _print_summary(summary: Summary) -> None:
    refused = sum(summary.refused.values())
    speed = summary.rows / summary.seconds
    lines = [
        f"{summary.rows:,} rows, {summary.rows - refused:,} scored, "
        f"{refused:,} refused",
        f"{summary.seconds:.1f} seconds, {speed:,.0f} rows/s",
    ]
    shown = list(summary.refused.items())[:REASONS_SHOWN]
    lines += [f"{count:>12,}  {reason}" for reason, count in shown]
    hidden = len(summary.refused) - len(shown)
    if hidden:
        lines.append(f"{hidden:>12,}  other reasons")
    print("\n".join(lines), file=sys.stderr)


def _read_rows(file: str) -> list[Any]:
    """Parse untrusted JSON; whatever is wrong becomes InvalidRows."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise _unreadable(f"{file}: {error.strerror}") from None
    try:
        rows = json.loads(content, object_pairs_hook=_refuse_duplicates)
    except (ValueError, RecursionError):
        raise _unreadable("not JSON") from None
    if not isinstance(rows, list):
        raise _unreadable("not a JSON list of rows")
    return rows


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _unreadable("a field occurs twice in one row")
    return found


def _unreadable(reason: str) -> InvalidRows:
    return InvalidRows((RowProblem(None, None, reason),))
