"""
A process that outlives its starter by as long as it takes to end what that has left.

It holds the reading end of a pipe whose writing end is the starter's alone: when the
starter ends, however it ends, the pipe does too, and what still runs is told to stop.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from tasks.system import lineage

# Every process finishes what it has accepted.
STOP_S = 25
_LOOK_S = 0.05


@cache
def watcher() -> subprocess.Popen[bytes]:
    """Return the process that ends those of this one, started when first asked for."""
    # In a session of its own: what is sent to the starter's group, such as the SIGHUP
    # of a closed terminal, does not reach it. Nor does it hold anybody's output open.
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.system.lifeline"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _patience() -> float:
    return STOP_S


@contextlib.contextmanager
def child(
    command: list[str], patience_s: Callable[[], float] = _patience, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """
    Run a process while the context lasts; it does not outlive this one.

    Parameters
    ----------
    command : list of str
    patience_s : callable
        Says, at the end, for how long the process may go on; then it is killed.
    options : mapping
        Of ``subprocess.Popen``.
    """
    # Before it: whatever this process has open by then is its own.
    watcher()
    process = subprocess.Popen(command, **options)
    _note(f"started {process.pid}")
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(patience_s())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _note(f"ended {process.pid}")


def _note(line: str) -> None:
    pipe = watcher().stdin
    assert pipe is not None
    # Broken only if somebody has killed the watcher.
    with contextlib.suppress(OSError):
        pipe.write(f"{line}\n".encode())
        pipe.flush()


def main() -> None:
    """Keep count of what runs until the pipe ends, then stop it."""
    held: list[int] = []
    for line in sys.stdin:
        what, pid = line.split()
        if what == "started":
            held.append(int(pid))
        else:
            held.remove(int(pid))
    stop(held)


def stop(pids: list[int]) -> None:
    """Stop processes, the last that was started first, and kill what is slow to end."""
    deadline = time.monotonic() + STOP_S
    for pid in reversed(pids):
        send(pid, signal.SIGTERM)
        while lineage.is_alive(pid) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
    for pid in pids:
        send(pid, signal.SIGKILL)


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    main()
