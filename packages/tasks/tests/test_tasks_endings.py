"""Whatever is killed, and however: nothing that was started stays behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from running import (
    SERVICES,
    Running,
    descendants,
    health,
    is_free,
    is_running,
    wait_until,
)

# As tox and uv do: start something, wait for it, pass nothing on when killed.
LAUNCHER = '#!/bin/sh\n"$@"\nexit $?\n'
# A terminal, in which the system is the foreground job.
TERMINAL = (sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])")
ENDED_S = 15


@pytest.fixture
def launchers(tmp_path: Path) -> tuple[str, ...]:
    """Return three programs, each of which starts the next."""
    names = ("uvx", "tox", "uv")
    for name in names:
        (tmp_path / name).write_text(LAUNCHER)
        (tmp_path / name).chmod(0o755)
    return tuple(str(tmp_path / name) for name in names)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def services_of(running: Running) -> int:
    """Return the process that `python -m tasks.system.services` is."""
    everyone = [running.process.pid, *descendants(running.process.pid)]
    return next(p for p in everyone if command_of(p).startswith(" ".join(SERVICES)))


def hang_up(running: Running) -> None:
    os.killpg(os.getpgid(services_of(running)), signal.SIGHUP)


def kill_group(running: Running) -> None:
    os.killpg(os.getpgid(services_of(running)), signal.SIGKILL)


def kill_services(running: Running) -> None:
    os.kill(services_of(running), signal.SIGKILL)


def terminate_services(running: Running) -> None:
    os.kill(services_of(running), signal.SIGTERM)


def kill_started(word: str) -> Callable[[Running], None]:
    """Return what kills the first process below the services with a word in it."""

    def kill(running: Running) -> None:
        below = descendants(services_of(running))
        os.kill(next(p for p in below if word in command_of(p)), signal.SIGKILL)

    return kill


def check_nothing_stays(running: Running, kill: Callable[[Running], None]) -> None:
    everyone = [running.process.pid, *descendants(running.process.pid)]
    assert len(everyone) > 3, running.output.read_text()
    kill(running)
    # Whoever would wait for it is a test away: it stays a zombie, as under a harness.
    wait_until(lambda: not any(map(is_running, everyone)), ENDED_S)
    ports = (running.public, running.private, running.live, running.shadow)
    assert all(map(is_free, ports))
    assert is_free(running.prometheus)
    running.process.wait()
    assert "Traceback" not in running.output.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "kill",
    [
        *(hang_up, kill_group, kill_services, terminate_services),
        *(kill_started("tasks.system.lifeline"), kill_started("iris-api")),
        *(kill_started("shadow-router"), kill_started("--only router")),
    ],
    ids=[
        *("hang_up", "kill_group", "kill_services", "terminate_services"),
        *("kill_lifeline", "kill_api", "kill_supervisor", "kill_router"),
    ],
)
def test_nothing_stays_when_a_process_of_the_system_is_killed(
    tmp_path: Path, kill: Callable[[Running], None]
) -> None:
    running = Running(tmp_path, "up", "--traffic", "200000")
    running.wait_for("ready\n")
    check_nothing_stays(running, kill)
    audit = running.audit()
    assert audit.returncode == 0, audit.stdout + audit.stderr


@pytest.mark.slow
@pytest.mark.parametrize("level", [0, 1, 2])
def test_nothing_stays_when_what_started_the_system_is_killed(
    tmp_path: Path, launchers: tuple[str, ...], level: int
) -> None:
    running = Running(tmp_path, "up", under=launchers)
    running.wait_for("ready\n")

    def kill(running: Running) -> None:
        everyone = [running.process.pid, *descendants(running.process.pid)]
        name = launchers[level]
        os.kill(
            next(p for p in everyone if f"sh {name} " in command_of(p)), signal.SIGKILL
        )

    check_nothing_stays(running, kill)


@pytest.mark.slow
def test_nothing_stays_when_the_terminal_is_closed(
    tmp_path: Path, launchers: tuple[str, ...]
) -> None:
    running = Running(tmp_path, "up", under=(*TERMINAL, *launchers))
    running.wait_for("ready\n")
    check_nothing_stays(running, lambda _: running.process.kill())


@pytest.mark.slow
def test_services_stop_when_a_starter_is_killed_and_nobody_reads(
    tmp_path: Path,
) -> None:
    # sh waits for its child, as tox does; killed, it tells nobody. And as with tox,
    # nobody reads the output any more: head leaves after three lines.
    shell = ("sh", "-c", '"$@" 2>&1 | head -n 3; sleep 60', "sh")
    running = Running(tmp_path, "serve", under=shell)
    wait_until(lambda: health(running) == "1.0.0", timeout_s=60)
    running.process.kill()
    running.process.wait()
    wait_until(lambda: health(running) == "")


@pytest.mark.slow
def test_system_stays_when_the_shell_that_left_it_in_the_background_ends(
    tmp_path: Path, launchers: tuple[str, ...]
) -> None:
    end = tmp_path / "end"
    waits = f'"$@" & while [ ! -e {end} ]; do sleep 0.1; done'
    running = Running(tmp_path, "serve", under=("sh", "-c", waits, "sh", *launchers))
    wait_until(lambda: health(running) == "1.0.0", timeout_s=60)
    everyone = [
        p for p in descendants(running.process.pid) if "sleep" not in command_of(p)
    ]
    end.touch()
    assert running.process.wait(timeout=10) == 0
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["tail", f"--pid={everyone[0]}", "-f", "/dev/null"], timeout=3)
    assert health(running) == "1.0.0"
    os.kill(everyone[0], signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, everyone)), ENDED_S)


@pytest.mark.slow
def test_nothing_stays_when_a_start_is_ended_before_it_is_ready(
    tmp_path: Path, launchers: tuple[str, ...]
) -> None:
    running = Running(tmp_path, "up", under=launchers)
    running.wait_for("live started")
    everyone = [running.process.pid, *descendants(running.process.pid)]
    running.process.kill()
    running.process.wait()
    wait_until(lambda: not any(map(is_running, everyone)), ENDED_S)
    ports = (running.public, running.private, running.live, running.shadow)
    assert all(map(is_free, ports))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_services_of_a_replay_end_when_it_is_killed(
    tmp_path: Path, number: signal.Signals
) -> None:
    replaying = subprocess.Popen(
        [sys.executable, "-m", "tasks.measure.replay", "--show", "pass"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: has_services(replaying.pid), timeout_s=120)
    everyone = descendants(replaying.pid)
    os.kill(replaying.pid, number)
    wait_until(lambda: not any(map(is_running, everyone)), ENDED_S)
    assert replaying.wait() != 0


def has_services(pid: int) -> bool:
    return sum("iris-api" in command_of(p) for p in descendants(pid)) == 2
