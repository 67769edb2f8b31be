"""Refuse an empty argument: in a workflow it is a variable that nobody has set."""

from __future__ import annotations

import sys
from pathlib import Path

from tasks.exit_codes import USAGE


def given() -> list[str]:
    """Return the arguments of the command line; end with one line if one is empty."""
    program, arguments = Path(sys.argv[0]).stem, sys.argv[1:]
    for before, argument in zip([program, *arguments], arguments):
        option, equals, value = argument.partition("=")
        if argument.startswith("--") and equals:
            before, argument = option, value
        if not argument.strip():
            where = f"the value of {before}" if before[:2] == "--" else "an argument"
            reason = f"{where} is empty: is a variable not set?"
            print(f"{program}: {reason}", file=sys.stderr)
            raise SystemExit(USAGE)
    return arguments
