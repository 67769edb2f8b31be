"""What several tests of the running system share."""

import contextlib
import random
import socket


def free_port() -> int:
    """Return a port that nobody listens on."""
    while True:
        # Below the ports that the kernel gives to clients: none takes it meanwhile.
        port = random.SystemRandom().randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
