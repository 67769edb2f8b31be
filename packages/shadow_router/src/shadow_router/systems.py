"""
On which systems the units run. Every unit that has a command has this same file, to
the letter.
"""

from __future__ import annotations

import sys

SUPPORTED = ("linux", "darwin")


def refuse_other_systems(program: str) -> None:
    """
    End with one line on a system that is not supported.

    Parameters
    ----------
    program : str
        Named in the line.

    Raises
    ------
    SystemExit
        With EX_CONFIG of sysexits.h: trying again will not help.
    """
    if sys.platform not in SUPPORTED:
        print(
            f"{program}: runs on Linux and macOS, not on {sys.platform}; "
            "on Windows it runs in WSL 2",
            file=sys.stderr,
        )
        raise SystemExit(78)
