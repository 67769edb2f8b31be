"""
What every suite shares: how many workers it has, and which tests it leaves to CI.

A laptop leaves out what is marked slow; ``CI=true``, a ``-m`` of yours or a test named
by its ``::`` runs it too. Of a test that is marked ``slow(after=1)``, the first case is
quick and those after it are slow.
"""

import os
from collections import Counter

import hypothesis
import pytest

# A busy machine is no fault of the code: no example is red for its time alone.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def pytest_xdist_auto_num_workers() -> int:
    """Return one worker a core; two where slow tests wait for what they started."""
    # macOS keeps no process to some of its cores.
    usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
    cores = len(usable(0))
    return min(8, 2 * cores if os.environ.get("CI") else cores)


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
    slow = slow_of(items)
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


def slow_of(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return what is marked slow, but for the first cases that the mark leaves."""
    slow, cases = [], Counter[str]()
    for item in items:
        name = item.nodeid.partition("[")[0]
        cases[name] += 1
        marker = item.get_closest_marker("slow")
        if marker and cases[name] > marker.kwargs.get("after", 0):
            slow.append(item)
    return slow
