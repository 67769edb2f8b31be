"""What router and collector share: their rules, and how they are told to stop."""

import asyncio
import gc
import signal
from datetime import UTC, datetime

from loguru import logger

from shadow_router.errors import SettingsInvalid
from shadow_router.http.descriptors import Room, make_room
from shadow_router.rules.rules import DEFAULT, Rules
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
    from shadow_router.rules.rule_file import load_rules

    return load_rules(settings.rules, datetime.now(UTC).date())


def room_for_clients(settings: Settings, *, each: int = 1, reserved: int) -> Room:
    """
    Return how many connections there are descriptors for, and say if they are fewer.

    Parameters
    ----------
    each : int
        Descriptors that a connection may take.
    reserved : int
        Descriptors for what is opened later and is no connection of a client.

    Raises
    ------
    SettingsInvalid
        If there are too few for any.
    """
    room = make_room(settings.connections, each=each, reserved=reserved)
    if not room.connections:
        raise SettingsInvalid(
            f"a limit of {room.limit} descriptors leaves none for connections; "
            "raise it (ulimit -n)"
        )
    if room.connections < settings.connections:
        logger.warning(
            "a limit of {} descriptors allows {} connections, not {}",
            *(room.limit, room.connections, settings.connections),
        )
    return room


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
