"""Engine, images and a running system, made once for all tests."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from bases import make_base
from engine import engine
from stack import Stack
from traffic_beside import Traffic

from tasks.system.images import build, images, prepare

ROOT = Path(__file__).parents[2]

_seconds: dict[str, float] = defaultdict(float)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up how long each file takes, fixtures included."""
    _seconds[report.nodeid.split("::")[0]] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long each file took."""
    for name, took_s in _seconds.items():
        terminalreporter.write_line(f"{took_s:5.0f} s  {name}")


@pytest.fixture(scope="session", autouse=True)
def _engine() -> Iterator[None]:
    with engine():
        yield


@pytest.fixture(scope="session")
def base(_engine: None) -> str:
    """What the images are built on here, since nothing can be pulled."""
    return make_base("base-python")


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build context of this tree."""
    folder = tmp_path_factory.mktemp("context")
    prepare(folder, is_published=False)
    return folder


@pytest.fixture(scope="session")
def built(base: str, context: Path) -> dict[str, str]:
    """The identities of the images: of `live`, `shadow` and `router`."""
    names = ("live", "shadow", "router")
    found = [build(context, image, base) for image in images(context)]
    return dict(zip(names, found, strict=True))


@pytest.fixture(scope="session")
def pins(built: dict[str, str]) -> dict[str, str]:
    """The variables of compose.yaml that choose images."""
    return {
        "API_LIVE_IMAGE": built["live"],
        "API_SHADOW_IMAGE": built["shadow"],
        "SHADOW_ROUTER_IMAGE": built["router"],
    }


@pytest.fixture(scope="session")
def stack(
    pins: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The running system; shared, so leave it as healthy as you found it."""
    running = Stack(tmp_path_factory.mktemp("stack"), pins)
    try:
        running.up()
        yield running
    finally:
        running.down()


@pytest.fixture
def traffic(stack: Stack) -> Iterator[Traffic]:
    """Clients that keep asking the router until the test ends."""
    with Traffic(stack.public) as running:
        yield running
