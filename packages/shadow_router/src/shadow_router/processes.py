"""What router and collector share: their rules, and how they are told to stop."""

import asyncio
import gc
import signal
from datetime import UTC, datetime

from shadow_router.rules import DEFAULT, Rules
from shadow_router.settings import Settings


def rules_of(settings: Settings) -> Rules:
    """
    Return the rules that the settings name.

    Raises
    ------
    RulesInvalid
        If their file is wrong, or an ignore rule in it has expired.
    """
    if settings.rules is None:
        return DEFAULT
    # Without a rule file nothing needs a YAML library.
    from shadow_router.rule_file import load_rules

    return load_rules(settings.rules, datetime.now(UTC).date())


def settle_memory() -> None:
    """
    Keep what the start has made, and look for garbage in cycles less often.

    What a request makes holds no cycles, and goes when it is done with: looking through
    it over and over would be a tenth of the work.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def stop_event(lifeline: int | None) -> tuple[asyncio.Event, asyncio.Event]:
    """Return events for being told to stop, and for having lost the parent."""
    loop = asyncio.get_running_loop()
    stopped, orphaned = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if lifeline is not None:

        def parent_ended() -> None:
            # Nothing is ever written to the pipe: readable means it has ended.
            loop.remove_reader(lifeline)
            orphaned.set()
            stopped.set()

        loop.add_reader(lifeline, parent_ended)
    return stopped, orphaned
