"""What an operator does, and what goes wrong by itself, while clients are served."""

import os
import signal
import sqlite3
import subprocess
from pathlib import Path

from stack import Stack, status, wait_until
from traffic_beside import Traffic

from tasks.system.engine_client import CLIENT, docker, inspect
from tasks.system.images import Image, build


def rebuilt(context: Path, base: str, note: str) -> str:
    """Build the live image once more, with a label of its own; return its digest."""
    template = Image("api", [f"iris-api:{note}"], {"ROLE": "live", "REVISION": note})
    return build(context, template, base)


def test_no_request_fails_when_live_is_replaced_and_taken_back(
    stack: Stack, traffic: Traffic, context: Path, base: str, built: dict[str, str]
) -> None:
    new = rebuilt(context, base, "next")
    assert new != built["live"]
    done = stack.replace("api-live", new)
    assert done.returncode == 0, done.stderr
    assert inspect(stack.container("api-live"), "{{.Image}}") == new
    traffic.go_on()
    # The command that was printed, which names the digest of the image before.
    *_, service, previous = done.stdout.split()
    assert (service, previous) == ("api-live", built["live"])
    back = stack.replace(service, previous)
    assert back.returncode == 0, back.stderr
    assert inspect(stack.container("api-live"), "{{.Image}}") == built["live"]
    traffic.go_on()
    assert traffic.end() > 300
    assert traffic.failures == []


def test_live_stays_as_it_is_when_the_new_image_does_not_become_healthy(
    stack: Stack, traffic: Traffic, built: dict[str, str]
) -> None:
    before = (stack.folder / ".env").read_text()
    # The router's image has no API in it.
    done = stack.replace("api-live", built["router"])
    assert done.returncode == 1
    assert done.stderr.startswith("not replaced: the new container does not become")
    assert (stack.folder / ".env").read_text() == before
    assert inspect(stack.container("api-live"), "{{.Image}}") == built["live"]
    traffic.go_on()
    traffic.end()
    assert traffic.failures == []


def test_no_request_fails_and_books_balance_when_shadow_is_killed(
    stack: Stack, traffic: Traffic
) -> None:
    docker("kill", stack.container("api-shadow"))
    traffic.go_on(300)
    docker("start", stack.container("api-shadow"))
    wait_until(lambda: stack.is_healthy("api-shadow"))
    traffic.go_on()
    traffic.end()
    assert traffic.failures == []
    assert stack.audit()["balances"] is True


def test_no_request_fails_and_books_balance_when_collector_is_killed(
    stack: Stack, traffic: Traffic
) -> None:
    docker("kill", stack.container("collector"))
    traffic.go_on(300)
    docker("start", stack.container("collector"))
    wait_until(lambda: status(stack.report("/readyz")) == 200)
    traffic.go_on()
    traffic.end()
    assert traffic.failures == []
    books = stack.audit()
    assert books["balances"] is True
    assert books["received"] >= traffic.answered


def test_backup_of_the_readme_holds_every_comparison_when_opened(
    stack: Stack, traffic: Traffic
) -> None:
    traffic.end()
    assert stack.audit()["balances"] is True
    count = "select count(*) from comparisons"
    compared = stack.python(
        "collector",
        "import sqlite3; s = sqlite3.connect('/data/first/comparisons.sqlite'); "
        f"print(s.execute('{count}').fetchone()[0])",
    )
    section = Path("docker/README.md").read_text().split("### Back up the store")[1]
    commands = section.split("```")[1]
    done = subprocess.run(
        ["sh", "-euc", commands], cwd=stack.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(stack.folder / "comparisons.sqlite") as copy:
        assert copy.execute("pragma integrity_check").fetchone() == ("ok",)
        (kept,) = copy.execute(count).fetchone()
    copy.close()
    assert kept == int(compared) > 100


def test_collector_comes_back_by_itself_when_its_process_is_killed(
    stack: Stack, traffic: Traffic
) -> None:
    os.kill(int(stack.state("collector")["Pid"]), signal.SIGKILL)
    wait_until(lambda: restarts(stack, "collector") == 1)
    wait_until(lambda: status(stack.report("/readyz")) == 200)
    traffic.go_on()
    traffic.end()
    assert traffic.failures == []
    assert stack.audit()["balances"] is True


def test_live_comes_back_and_has_its_records_when_it_meets_its_memory_limit(
    stack: Stack,
) -> None:
    container = stack.container("api-live")
    before = records(stack)
    # The kernel kills the process that it likes least: let that be the service.
    Path(f"/proc/{stack.state('api-live')['Pid']}/oom_score_adj").write_text("1000")
    hog = "x = [bytes(bytearray(b'x' * 10**7)) for _ in range(100)]"
    subprocess.run([CLIENT, "exec", container, "python3", "-c", hog])
    wait_until(lambda: restarts(stack, "api-live") == 1)
    wait_until(lambda: status(stack.url("/readyz")) == 200)
    assert records(stack) == before


def test_clients_notice_when_live_is_stopped_before_its_successor_runs(
    stack: Stack, traffic: Traffic
) -> None:
    # What the tests above would see if anything were not as it should be.
    docker("restart", stack.container("api-live"))
    wait_until(lambda: status(stack.url("/readyz")) == 200)
    traffic.end()
    assert traffic.failures


def restarts(stack: Stack, service: str) -> int:
    """Return how often the engine has started a service again."""
    return int(inspect(stack.container(service), "{{.RestartCount}}"))


def records(stack: Stack) -> int:
    """Return how many predictions are on record."""
    code = "print(sum(1 for _ in open('/data/records.jsonl', 'rb')))"
    return int(stack.python("api-live", code))
