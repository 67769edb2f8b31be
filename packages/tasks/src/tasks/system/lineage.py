"""Which processes started this one, and whether they are still there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# tox starts a tox of its own where tox-uv is missing, and uv starts either.
LAUNCHER = re.compile(r"(.*/)?(tox|uv|uvx|pipx)")
_PROC = Path("/proc/self/stat").exists()
# Where there is no /proc, each look starts a process.
_LOOK_S = 0.5 if _PROC else 2.0


@dataclass(frozen=True)
class Process:
    """A running process: who started it, and its command line."""

    parent: int
    command: str

    @property
    def is_launcher(self) -> bool:
        """Whether it is tox, or what may have started tox."""
        words = self.command.split()[:5]
        return any(LAUNCHER.fullmatch(word) for word in words)


def look_up(pid: int) -> Process | None:
    """Return a process, None when it has ended."""
    if not _PROC:
        return _ask_ps(pid)
    folder = Path(f"/proc/{pid}")
    try:
        # The name, in brackets, may hold anything.
        state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    return None if state in "ZX" else Process(int(parent), " ".join(words))


def _ask_ps(pid: int) -> Process | None:
    command = ["ps", "-o", "stat=,ppid=,command=", "-p", str(pid)]
    said = subprocess.run(command, capture_output=True, text=True).stdout.split(None, 2)
    if not said or said[0].startswith("Z"):
        return None
    return Process(int(said[1]), said[2] if len(said) > 2 else "")


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for does not."""
    return look_up(pid) is not None


def starters() -> list[int]:
    """Return the unbroken line of tox and uv above this process, or its parent."""
    above = [os.getppid()]
    while (process := look_up(above[-1])) and process.is_launcher:
        above.append(process.parent)
    return above[:-1] or above


def end_with_starters() -> None:
    """
    From now on, end in order when told to, and when one of the starters has ended.

    tox passes no SIGTERM on, and whoever is killed passes on nothing. A shell is no
    starter: what it leaves in the background is meant to stay.
    """
    on_stop(_end)
    at_start = starters()

    def watch() -> None:
        while starters() == at_start:
            time.sleep(_LOOK_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def on_stop(handle: Callable[[int, object], None]) -> None:
    """Have the signals handled by which a user, a terminal or tox asks for an end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup ignores SIGHUP, and so does what it starts.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)


def _end(number: int, _: object) -> None:
    raise SystemExit(0 if number == signal.SIGINT else 128 + number)
