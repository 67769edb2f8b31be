"""Fixtures: a real server of the installed model, on a port of its own."""

import pytest
from api_container import start_container
from api_server import start_server
from page_browser import open_browser


def pytest_addoption(parser):
    """Let the same tests be run against an image."""
    parser.addoption("--image", help="of the API, to test in the place of a process")
    parser.addoption(
        "--contract", action="store_true", help="only tests of the shared server"
    )


def pytest_collection_modifyitems(config, items):
    """Keep the tests that ask the shared server, where they alone are asked for."""

    def asks_it(names):
        return "server" in names and "browser" not in names

    if config.getoption("--contract"):
        items[:] = [item for item in items if asks_it(item.fixturenames)]


@pytest.fixture(scope="session")
def server(tmp_path_factory, request):
    """A server that records to a file; shared, so leave it as you found it."""
    records = tmp_path_factory.mktemp("records") / "records.jsonl"
    image = request.config.getoption("--image")
    if image:
        start = start_container(image, records)
    else:
        start = start_server(IRIS_API_RECORDS=str(records))
    with start as running:
        yield running
        assert running.stop() == 0
        assert "Traceback" not in running.talk()


@pytest.fixture(scope="module")
def browser():
    """A browser; not longer than a module, as its event loop is the thread's."""
    with open_browser() as running:
        yield running
