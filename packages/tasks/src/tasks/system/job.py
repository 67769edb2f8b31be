"""
Processes that start together and stop together; their lines, told apart by a name.

None outlives this one, however it ends: see `lifeline`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

from tasks.exit_codes import FAULT
from tasks.system.lifeline import STOP_S, child, watcher
from tasks.system.lineage import on_stop

# Red is for what is wrong.
COLOURS = {"live": 32, "shadow": 35, "router": 36, "prometheus": 33}


@dataclass(frozen=True)
class Service:
    """A process: its name, its command line, and what it adds to the environment."""

    name: str
    command: list[str]
    settings: dict[str, str] = field(default_factory=dict)


class Printer:
    """Writes whole lines, each with the time and the name of who said it."""

    def __init__(self, output: TextIO, names: list[str]) -> None:
        self._output = output
        self._width = max(len(name) for name in [*names, "system"])
        self._has_colours = output.isatty()
        self._lock = threading.Lock()

    def write(self, name: str, line: str) -> None:
        """Write one line; nothing is said when nobody reads any more."""
        prefix = f"{datetime.now():%H:%M:%S} {name:<{self._width}} | "
        if self._has_colours and name in COLOURS:
            prefix = f"\033[{COLOURS[name]}m{prefix}\033[0m"
        with self._lock, contextlib.suppress(OSError):
            print(prefix + line, file=self._output, flush=True)


class Job:
    """Processes that run until one of them ends or all are told to stop."""

    def __init__(self, services: list[Service], talk: list[str]) -> None:
        self._services = services
        self._talk = talk
        self._printer = Printer(sys.stdout, [service.name for service in services])
        # What happens: a signal, or the end of a process by its name.
        self._events: queue.SimpleQueue[signal.Signals | str] = queue.SimpleQueue()
        self._deadline: float | None = None

    def run(self) -> int:
        """Return 0 when told to stop, else the code of what ended first."""
        on_stop(lambda number, _: self._events.put(signal.Signals(number)))
        with contextlib.ExitStack() as running:
            self._watch("lifeline", watcher())
            started = {
                one.name: running.enter_context(self._running(one))
                for one in self._services
            }
            if self._talk:
                # It may end before the others, and ends with them.
                running.enter_context(child(self._talk))
            first = self._events.get()
            if isinstance(first, signal.Signals):
                self._say(f"{first.name} received")
                return 0
            self._say(f"{first} has ended: so do the others")
            code = started[first].wait() if first in started else FAULT
            return code if code > 0 else FAULT

    @contextlib.contextmanager
    def _running(self, service: Service) -> Iterator[subprocess.Popen[str]]:
        with child(
            service.command,
            self._patience_s,
            env={**os.environ, **service.settings, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C reaches a whole process group; the order of the stop is ours.
            start_new_session=True,
        ) as process:
            self._say(f"{service.name} started (pid={process.pid})")
            self._watch(service.name, process)
            reading = threading.Thread(
                target=self._read, args=(service.name, process), daemon=True
            )
            reading.start()
            yield process
        reading.join(self._patience_s())
        code = process.returncode
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"rc={code}"
        self._say(f"{service.name} stopped ({how})")

    def _patience_s(self) -> float:
        """Return how long a stop that begins at the first call may still take."""
        if self._deadline is None:
            self._deadline = time.monotonic() + STOP_S
        return max(0.0, self._deadline - time.monotonic())

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._printer.write(name, line.rstrip("\n"))

    def _watch(self, name: str, process: subprocess.Popen[Any]) -> None:
        def wait() -> None:
            process.wait()
            self._events.put(name)

        threading.Thread(target=wait, daemon=True).start()

    def _say(self, text: str) -> None:
        self._printer.write("system", text)
