"""What a task says when it must not go on, and the programs it runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


class Refused(Exception):
    """Raised when something must not be released; says what, why and what to do."""


# How a task ends that asks whether something may be released: no, for this reason.
RED_GATE: dict[type[Exception], int] = {Refused: 1}


def run(
    command: list[str],
    failure: str,
    add: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """
    Run a program whose own output tells what is wrong.

    Parameters
    ----------
    command : list of str
    failure : str
        What the refusal says when it does not exit with 0.
    add : mapping
        Added to the environment.
    cwd : Path
        Where to run it; here when not given.
    """
    # tox hands its own settings down; an inner tox must not read the outer's.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TOX_")}
    if subprocess.run(command, env={**kept, **(add or {})}, cwd=cwd).returncode:
        raise Refused(failure)
