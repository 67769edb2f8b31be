"""
The parent of the two processes: it starts them, watches them and stops them.

Each child holds the reading end of a pipe whose writing end is the parent's alone:
when the parent dies, however it dies, the pipe ends and the children stop.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from asyncio.subprocess import Process

from loguru import logger

from shadow_router.exit_codes import FAULT, REFUSED
from shadow_router.settings import PREFIX, Settings

_INPUT_KEY = f"{PREFIX}INPUT_KEY"
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
#: Seconds beyond the grace times after which a child is killed.
_SPARE_S = 5.0


class Supervisor:
    """Two children and what to do when one of them ends."""

    def __init__(self, settings: Settings) -> None:
        # Requests in flight and then the queue have a grace time each.
        self._patience_s = 2 * settings.grace_s + _SPARE_S
        self._lifeline, self._held = os.pipe()
        self._stopping = asyncio.Event()
        self._input_key = secrets.token_hex()
        self._collector: Process

    async def run(self) -> int:
        """Return the exit code once both children have ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self._collector = await self._start("collector")
        router = await self._start("router")
        keeping = asyncio.create_task(self._keep_collector())
        first_end = (
            asyncio.create_task(router.wait()),
            asyncio.create_task(self._stopping.wait()),
            keeping,
        )
        await asyncio.wait(first_end, return_when=asyncio.FIRST_COMPLETED)
        was_told = self._stopping.is_set()
        self._stopping.set()
        # The router first: it hands over what it has left before the collector goes.
        codes = [
            await self._end("router", router),
            await self._end("collector", self._collector),
        ]
        await keeping
        if REFUSED in codes:
            return REFUSED
        return 0 if was_told and codes == [0, 0] else FAULT

    async def _start(self, role: str) -> Process:
        # Kept here, so that a collector that is started again knows its inputs.
        key = os.environ.get(_INPUT_KEY) or self._input_key
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shadow_router", "serve", "--only", role),
            *("--lifeline", str(self._lifeline)),
            pass_fds=(self._lifeline,),
            stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, _INPUT_KEY: key},
            # Ctrl-C reaches a whole process group; the order of the stop is ours.
            start_new_session=True,
        )

    async def _keep_collector(self) -> None:
        """
        Start the collector again whenever it ends, until the stop.

        One that is refused at the first start ends it; later, clients are served.
        """
        pause, is_first = _FIRST_PAUSE_S, True
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            code = await self._collector.wait()
            if self._stopping.is_set():
                return
            if code == REFUSED and is_first:
                return
            is_first = False
            logger.warning("the collector {}; starting it again", _said(code))
            was_brief = loop.time() - began < _LONGEST_PAUSE_S
            pause = min(2 * pause, _LONGEST_PAUSE_S) if was_brief else _FIRST_PAUSE_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return
            self._collector = await self._start("collector")

    async def _end(self, role: str, child: Process) -> int:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            code = await asyncio.wait_for(child.wait(), self._patience_s)
        except TimeoutError:
            child.kill()
            code = await child.wait()
        # One that has just been started ends by the signal itself; nothing is lost.
        if code == -signal.SIGTERM:
            return 0
        if code:
            logger.error("the {} {}", role, _said(code))
        return code


def _said(code: int) -> str:
    """Return in words how a process ended."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"died of {signal.Signals(-code).name}"
    except ValueError:
        return f"died of signal {-code}"


def supervise(settings: Settings) -> int:
    """Run both processes until one of SIGINT, SIGTERM or a router's end."""

    async def run() -> int:
        return await Supervisor(settings).run()

    return asyncio.run(run())
