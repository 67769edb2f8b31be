"""Who holds a port, asked of real sockets."""

import os
import socket
import subprocess
import sys

import pytest

from shadow_router.errors import PortBusy
from shadow_router.http.holder import holder_of
from shadow_router.processes.server import bind

UNKNOWN = "a process that cannot be named from here; end it"
LISTEN = "import socket, sys; s = socket.create_server(('', 0)); " + (
    "print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


@pytest.mark.parametrize(
    ("family", "theirs", "ours"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "127.0.0.1", "0.0.0.0"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.1"),
        (socket.AF_INET, "127.0.0.1", "localhost"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
        (socket.AF_INET6, "::ffff:127.0.0.1", "127.0.0.1"),
    ],
)
def test_process_is_named_when_its_address_is_in_the_way(family, theirs, ours):
    with socket.socket(family) as taken:
        if family == socket.AF_INET6:
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        taken.bind((theirs, 0))
        taken.listen()
        said = holder_of(ours, taken.getsockname()[1])
    assert said.startswith(f"process {os.getpid()} (")
    assert said.endswith(f"; end it (kill {os.getpid()})")


def test_nobody_is_named_when_another_address_is_taken():
    with socket.create_server(("127.0.0.2", 0)) as taken:
        assert holder_of("127.0.0.1", taken.getsockname()[1]) == UNKNOWN


def test_process_is_named_when_it_listens_to_nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            host, port = client.getsockname()
            assert holder_of(host, port).startswith(f"process {os.getpid()} (")


def test_command_is_one_short_line_when_it_is_not():
    arguments = [sys.executable, "-c", LISTEN, "a\nb\x1b[31m\u202e", "x" * 200]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        said = holder_of("127.0.0.1", int(process.stdout.readline()))
        process.stdin.close()
    assert said.startswith(f"process {process.pid} ({sys.executable[:80]}")
    assert said.isprintable()
    assert len(said) < 130
    assert "…)" in said


def test_refusal_tells_the_reason_when_nobody_holds_the_address():
    # Of a documentation network: on no machine.
    with pytest.raises(PortBusy) as refused:
        bind("192.0.2.1", 8000, "SHADOW_ROUTER_PUBLIC_PORT")
    assert str(refused.value) == (
        "192.0.2.1:8000 cannot be listened on (Cannot assign requested address): "
        "choose another, or set SHADOW_ROUTER_PUBLIC_PORT"
    )
