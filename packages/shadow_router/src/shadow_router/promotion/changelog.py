"""Adding an entry to a changelog in the format of Keep a Changelog; pure."""

_UNRELEASED = "## [Unreleased]"
_CHANGED = "### Changed"


def with_entry(text: str, entry: str) -> str:
    """
    Return the changelog with one more entry under Unreleased, Changed.

    Either heading is made where it is missing.

    Parameters
    ----------
    entry : str
        One sentence of one line.
    """
    lines = text.splitlines()
    at = _section(lines)
    end = _next(lines, at + 1, "## ")
    changed = next((i for i in range(at, end) if lines[i].strip() == _CHANGED), None)
    if changed is None:
        # Behind what was added and before what was fixed.
        place = _next(lines, at + 1, "### ", end)
        if place < end and lines[place].strip() == "### Added":
            place = _next(lines, place + 1, "### ", end)
        lines[place:place] = [_CHANGED, "", f"- {entry}", ""]
        _part_from(lines, place)
    else:
        last = _next(lines, changed + 1, "### ", end)
        while not lines[last - 1].strip():
            last -= 1
        new = [f"- {entry}"] if last - 1 > changed else ["", f"- {entry}"]
        lines[last:last] = new
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(lines: list[str]) -> int:
    """Return the line of the heading of what is unreleased, made if need be."""
    for at, line in enumerate(lines):
        if line.strip().lower() == _UNRELEASED.lower():
            return at
    at = _next(lines, 0, "## ")
    lines[at:at] = [_UNRELEASED, ""]
    _part_from(lines, at)
    return next(i for i, line in enumerate(lines) if line == _UNRELEASED)


def _next(lines: list[str], start: int, mark: str, end: int | None = None) -> int:
    stop = len(lines) if end is None else end
    return next((i for i in range(start, stop) if lines[i].startswith(mark)), stop)


def _part_from(lines: list[str], at: int) -> None:
    if at and lines[at - 1].strip():
        lines.insert(at, "")
