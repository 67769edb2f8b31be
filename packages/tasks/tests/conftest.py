"""Which tests may run side by side: files may, but those that start this tree's own."""

import pytest

# They make and use the same environments, .tox/services.
SERVICES = {"blame", "mutants", "own_model", "promote", "replay", "services"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one worker, and those that start services in one."""
    for item in items:
        name = item.path.stem.removeprefix("test_tasks_")
        group = "services" if name in SERVICES else name
        item.add_marker(pytest.mark.xdist_group(group))
