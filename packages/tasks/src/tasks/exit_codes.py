"""
How a command ends: with a finding, or with a code of its own and one line.

1 is what a red gate or an alarm says, 2 and 3 are findings too; no error ends with one
of these, for whoever asks by exit code would take it for an answer. This file is the
same in every unit.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

# As in sysexits.h, and as shells write the death by a signal.
USAGE, FAULT, INPUT_OUTPUT, REFUSED = 64, 70, 74, 78
INTERRUPTED, NOBODY_READS = 130, 141

# What argparse raises; a command returns a 2 that is its own.
RAISED: dict[object, int] = {None: 0, 2: USAGE}
# A command returns these: a library that raises one has found nothing.
FINDINGS = (1, 2, 3)


def exit_code(
    name: str, run: Callable[[], int | None], codes: Mapping[type[Exception], int]
) -> int:
    """
    Run a command to its end, whatever that is, and return the exit code.

    Parameters
    ----------
    name : str
        Of the command; begins the line on stderr.
    run : callable
        Returns the code of a command that has come to its own end, None for 0; never
        raises it.
    codes : mapping of exception type to int
        Of errors that are raised on purpose and whose text is the line; the first
        that fits.
    """
    is_closed = _open_what_is_closed()
    try:
        if is_closed:
            raise OSError(errno.EBADF, "standard output is closed")
        code = run() or 0
    except BaseException as error:
        code = _explain(name, error, codes)
    return _flush(name, code)


def _open_what_is_closed() -> bool:
    """Open streams that were closed on nothing; return whether output was."""
    is_closed = sys.stdout is None
    # In this order, each gets its own number, which a file of ours would get else.
    for stream, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, mode))
    return is_closed


def _explain(
    name: str, error: BaseException, codes: Mapping[type[Exception], int]
) -> int:
    """Say in one line why a command failed, and return the code for it."""
    if isinstance(error, SystemExit):
        code = RAISED.get(error.code, error.code)
        if isinstance(code, int) and code not in FINDINGS:
            return code
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    for kind, expected in codes.items():
        if isinstance(error, kind):
            _say(name, str(error))
            return expected
    if isinstance(error, BrokenPipeError):
        return NOBODY_READS
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{error.filename}: "
        _say(name, f"{where}{error.strerror or type(error).__name__}")
        return INPUT_OUTPUT
    if sys.flags.dev_mode:
        traceback.print_exception(error)
    # The text of the error may quote what nobody should read in a log.
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}, line {last.lineno}"
    kind_of = type(error).__name__
    _say(name, f"a fault of ours: {kind_of} in {place}; PYTHONDEVMODE=1 shows more")
    return FAULT


def _say(name: str, text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{name}: {' '.join(text.split())}", file=sys.stderr, flush=True)


def _flush(name: str, code: int) -> int:
    """Return the code, or another one if what was printed cannot be delivered."""
    try:
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        lost = NOBODY_READS
    except OSError as error:
        lost = INPUT_OUTPUT
        if code < USAGE:
            _say(name, f"standard output: {error.strerror}")
    # The interpreter tries again when it ends, and would end with 120.
    with contextlib.suppress(OSError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
    return lost if code < USAGE else code
