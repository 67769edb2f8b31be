"""
``iris-model records``: filter, export and judge what the API has put on record.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from iris_model.errors import ExtraMissing

if TYPE_CHECKING:
    from iris_model.accuracy import Accuracy
    from iris_model.selection import Selection

DESCRIPTION = """\
Without --output and --labels, prints the records that are wanted, as they are.
With --output, writes their rows as Parquet. With --labels, joins true labels and
prints how often the answers were right. Exit code 3: done, but some lines were no
records and were passed over."""

Commands = Any  # argparse does not name the type of its subparsers


def add_records_command(commands: Commands) -> None:
    """Add ``records`` to the commands."""
    parser = commands.add_parser(
        "records",
        help="filter and export records of the API (needs iris_model[score])",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_selection(parser)
    parser.add_argument("--label", help="only rows answered so")
    parser.add_argument("--request-id", metavar="ID", help="only this request")
    parser.add_argument(
        "--out-of-range",
        action="store_true",
        help="only rows with a value outside the training range",
    )
    parser.add_argument("--output", metavar="FILE", help="write rows, a .parquet file")
    parser.add_argument(
        "--labels", metavar="FILE", help="CSV or JSON lines: request_id, row, label"
    )
    parser.add_argument(
        "--every",
        choices=("hour", "day", "week", "month"),
        default="day",
        help="period of the accuracy (default: day)",
    )
    parser.add_argument("--json", action="store_true", help="accuracy as JSON")
    parser.set_defaults(run=_run)


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add what says which records are read."""
    parser.add_argument(
        "records",
        metavar="RECORDS",
        help="path or URL of a file, a folder of .jsonl, or a pattern; - is stdin",
    )
    parser.add_argument("--since", metavar="TIME", help="ISO 8601, UTC by default")
    parser.add_argument("--until", metavar="TIME", help="before this time")
    parser.add_argument("--version", help="only records of this model version")


def selection_of(options: argparse.Namespace) -> Selection:
    """Return what the options ask for."""
    from iris_model.selection import Selection, parse_moment

    return Selection(
        since=options.since and parse_moment(options.since),
        until=options.until and parse_moment(options.until),
        version=options.version,
        label=getattr(options, "label", None),
        request_id=getattr(options, "request_id", None),
        out_of_range=getattr(options, "out_of_range", False),
    )


def _run(options: argparse.Namespace) -> int:
    try:
        from iris_model.records_run import run_records
    except ModuleNotFoundError as error:
        raise ExtraMissing("reading records", error.name, "score") from None
    run = run_records(
        options.records,
        selection_of(options),
        options.output,
        options.labels,
        options.every,
        sys.stdout.buffer,
    )
    if options.labels is not None:
        print(_spell(run.accuracy, options.json))
    print("\n".join(run.described), file=sys.stderr)
    return 3 if run.passed_over else 0


def _spell(found: Sequence[Accuracy], as_json: bool) -> str:
    if as_json:
        return json.dumps([dataclasses.asdict(one) for one in found], indent=1)
    lines = [f"{'begin':<17} {'version':<9} {'labelled':>9} {'right':>9}  accuracy"]
    for one in found:
        bounds = f"{one.accuracy:.3f}  (95 %: {one.low:.3f} to {one.high:.3f})"
        lines.append(
            f"{one.begin:<17} {one.version:<9} {one.labelled:>9,} {one.right:>9,}  "
            f"{bounds}"
        )
    return "\n".join(lines)
