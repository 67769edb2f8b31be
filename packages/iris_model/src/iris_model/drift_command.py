"""
``iris-model drift``: whether live data have moved from the training table.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from iris_model.errors import ExtraMissing, IrisModelError
from iris_model.records_command import Commands, add_selection, selection_of

if TYPE_CHECKING:
    from iris_model.drift_run import Drift

DESCRIPTION = """\
Exit codes: 0 no alarm, 1 alarm, 2 too few rows for at least one comparison (and no
alarm in the others), 3 nothing could be compared, 64 and above an error. An alarm is a
reason to look, never to stop a promotion: the verdict of the shadow router does not ask
it."""

# As many of the comparisons within classes as are shown.
SHOWN = 5


def add_drift_command(commands: Commands) -> None:
    """Add ``drift`` to the commands."""
    parser = commands.add_parser(
        "drift",
        help="compare records of the API with the training table "
        "(needs iris_model[score])",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_selection(parser)
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        from iris_model.drift_run import measure_drift

        found = measure_drift(options.records, selection_of(options))
    except ModuleNotFoundError as error:
        raise ExtraMissing("drift", error.name, "score") from None
    except IrisModelError as error:
        # Not 1, which is an alarm.
        print(f"iris-model: {error}", file=sys.stderr)
        return 3
    if options.json:
        print(json.dumps(found.as_json(), indent=1))
    else:
        print("\n".join(describe(found)))
    if found.reading.damaged:
        print("\n".join(found.reading.describe()), file=sys.stderr)
    return found.exit_code


def describe(drift: Drift) -> list[str]:
    """Return a report for people, a line each."""
    from iris_model.drift import FALSE_ALARMS, LARGE, LEAST_ROWS

    seen, number = drift.seen, len(drift.comparisons)
    lines = [
        f"{seen.rows:,} rows of {seen.requests:,} requests against "
        f"{drift.table_rows:,} rows that {drift.model_version} was trained on"
    ]
    if seen.first and seen.last:
        lines.append(f"from {seen.first.isoformat()} to {seen.last.isoformat()}")
    lines += [
        "",
        f"{'':<24} {'rows':>9} {'psi':>8} {'at least':>8} {'js':>6} {'ks':>6}",
    ]
    for one in drift.comparisons:
        found = one.distances
        ks = "" if found.ks is None else f"{found.ks:.3f}"
        lines.append(
            f"{one.name:<24} {found.rows:>9,} {found.psi:>8.3f} {one.psi_low:>8.3f} "
            f"{found.js:>6.3f} {ks:>6}  {one.state}"
        )
    lines += [
        "",
        f"{number} comparisons are made together, and each bound holds at "
        f"{1 - FALSE_ALARMS / number:.3%}: without any change,",
        f"at most {FALSE_ALARMS:.0%} of runs alarm. An alarm needs a psi of at least "
        f"{LARGE} for sure, and {LEAST_ROWS} rows.",
    ]
    return lines + _describe_within(drift) + _describe_left_out(drift)


def _describe_within(drift: Drift) -> list[str]:
    from iris_model.drift import LEAST_ROWS

    found = [
        (distances.psi, label, name, distances.rows)
        for label, inner in drift.within.items()
        for name, distances in inner.items()
        if distances.rows >= LEAST_ROWS
    ]
    if not found:
        return []
    lines = ["", "within rows answered with one class, the largest (none alarms):"]
    for psi, label, name, rows in sorted(found, reverse=True)[:SHOWN]:
        lines.append(f"{psi:>8.3f}  {name} of {label}, {rows:,} rows")
    return lines


def _describe_left_out(drift: Drift) -> list[str]:
    lines = []
    if drift.seen.hashed:
        lines.append(f"{drift.seen.hashed:,} rows hold no values: features left out")
    for version, rows in drift.seen.left_out.most_common():
        lines.append(
            f"{rows:,} rows were answered by {version}: label and confidence left out; "
            f"--version {version} compares them"
        )
    return ["", *lines] if lines else []
