"""
What every suite shares: how many workers it has, and which tests it leaves to CI.

A laptop leaves out what is marked slow; ``CI=true``, a ``-m`` of yours or a test named
by its ``::`` runs it too.
"""

import os

import hypothesis
import pytest

# A busy machine is no fault of the code: no example is red for its time alone.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def pytest_xdist_auto_num_workers() -> int:
    """Return two workers a core: most tests wait for processes most of the time."""
    return min(8, 2 * len(os.sched_getaffinity(0)))


def leaves_out_slow(config: pytest.Config) -> bool:
    """Return whether this run is a laptop's, and names no test and no mark."""
    is_chosen = config.option.markexpr or any("::" in one for one in config.args)
    return not (os.environ.get("CI") or is_chosen)


def pytest_report_header(config: pytest.Config) -> str:
    """Say what is left out, where nobody can overlook it."""
    left = "left to CI=true" if leaves_out_slow(config) else "run"
    return f"slow tests: {left}"


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what is marked slow, unless all of it was asked for."""
    if not leaves_out_slow(config):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]
