"""Fixtures: a real server of the installed model, on a port of its own."""

import sys
from pathlib import Path

import pytest

# pytest's importlib mode leaves this folder off the path.
sys.path.insert(0, str(Path(__file__).parent))

from api_server import start_server  # noqa: E402
from page_browser import open_browser  # noqa: E402


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server that records to a file; shared, so leave it as you found it."""
    records = tmp_path_factory.mktemp("records") / "records.jsonl"
    with start_server(IRIS_API_RECORDS=str(records)) as running:
        yield running
        assert running.stop() == 0
        assert "Traceback" not in running.talk()


@pytest.fixture(scope="module")
def browser():
    """A browser; not longer than a module, as its event loop is the thread's."""
    with open_browser() as running:
        yield running
