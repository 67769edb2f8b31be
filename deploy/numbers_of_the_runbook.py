"""Write the runbook's tables and its picture; `--check` only compares them."""

from __future__ import annotations

import sys
from pathlib import Path

from capacity import cost_table, scale_table
from year import picture, simulate, year_table

RUNBOOK = Path(__file__).with_name("runbook.md")
PICTURE = Path(__file__).with_name("year.svg")


def written() -> dict[Path, str]:
    """Return what runbook and picture should hold."""
    year = simulate()
    tables = {"cost": cost_table(), "scale": scale_table(), "year": year_table(year)}
    text = RUNBOOK.read_text(encoding="utf-8")
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", "<!-- end -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}{table}{end}{rest.partition(end)[2]}"
    return {RUNBOOK: text, PICTURE: picture(year)}


def main(arguments: list[str]) -> int:
    """Write, or check."""
    stale = [
        path
        for path, text in written().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if "--check" in arguments:
            print(
                f"{path.name} is not what numbers_of_the_runbook.py writes; run it",
                file=sys.stderr,
            )
        else:
            path.write_text(written()[path], encoding="utf-8")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
