"""What a container takes: memory, and time to be ready."""

import re
import subprocess
import sys
from pathlib import Path

from stack import Stack, wait_until
from traffic_beside import Traffic

MB = 1e6


def process_memory(stack: Stack, service: str) -> int:
    """Return the bytes that a service's process holds now."""
    status = Path(f"/proc/{stack.state(service)['Pid']}/status").read_text()
    return int(re.findall(r"^VmRSS:\s+(\d+) kB", status, re.M)[0]) * 1024


def test_api_is_resident_in_little_memory_when_it_has_served(
    stack: Stack, traffic: Traffic
) -> None:
    traffic.go_on(1000)
    assert process_memory(stack, "api-live") < 120 * MB
    assert process_memory(stack, "router") < 120 * MB


def test_api_needs_little_processor_time_when_it_starts(stack: Stack) -> None:
    stack.compose("restart", "api-shadow")
    wait_until(lambda: stack.is_healthy("api-shadow"))
    # Of the processor, not of the clock: the machine may be busy with other things.
    fields = Path(f"/proc/{stack.state('api-shadow')['Pid']}/stat").read_text()
    user, system = fields.rpartition(")")[2].split()[11:13]
    assert (int(user) + int(system)) / 100 < 1.5


def test_benchmark_prints_every_figure_when_run(built: dict[str, str]) -> None:
    quick = ["--seconds", "1", "--rounds", "1"]
    command = [sys.executable, "docker/benchmark.py", built["live"], *quick]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == ["process", "container", "ratio", "cold", "image"]
