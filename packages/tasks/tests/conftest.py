"""Files of tests run side by side, but those that start this tree's own services."""

import fcntl
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Running, end

# What nohup starts, or a script in its background, ignores these, and so would all
# that is tested here.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# They make and use the same environments, .tox/services.
SERVICES = {
    "blame",
    "endings",
    "mutants",
    "offline",
    "own_model",
    "promote",
    "replay",
    "services",
}


@pytest.fixture(autouse=True, scope="module")
def alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the file to itself, among those of the services, while it is tested."""
    if request.path.stem.removeprefix("test_tasks_") not in SERVICES:
        yield
        return
    with Path(".tox/services.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    end(Running.started)


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Leave nothing running that a test started, also where it failed half-way."""
    # What the tests of a file share has been started by now.
    shared = list(Running.started)
    yield
    end([one for one in Running.started if one not in shared])
