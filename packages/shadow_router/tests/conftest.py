"""Fixtures: a well-behaved live server, a stopped system, a database of our own."""

import contextlib

import pytest
from report_browser import open_browser
from router_fakes import FakeServer
from router_postgresql import PostgreSQL
from router_system import System


def pytest_configure(config):
    # The fake server may end while a router is still connecting to it: such a socket is
    # closed when it is collected, long after and in another test. What the router
    # itself leaves open is counted, in processes of its own (test_router_bounds).
    for what in ("unclosed transport", "unclosed <socket.socket"):
        config.addinivalue_line("filterwarnings", f"ignore:{what}:ResourceWarning")


@pytest.fixture
def live():
    with FakeServer() as server:
        yield server


@pytest.fixture
def shadow():
    with FakeServer() as server:
        yield server


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a system; all are stopped after the test."""
    with contextlib.ExitStack() as stack:

        def start_system(live_url, shadow_url, name="data", **settings):
            system = System(tmp_path / name, live_url, shadow_url, **settings)
            return stack.enter_context(system)

        yield start_system


@pytest.fixture(scope="session")
def postgresql():
    with PostgreSQL() as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser
