"""The command, in forks of a process that has imported it: quick to start often."""

import multiprocessing
import os
import sys
import threading
import time
from contextlib import contextmanager
from multiprocessing.connection import wait

from api_server import free_port, send

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["iris_api.main", "onnxruntime"])
# An exit code can be read once: starting a process reads those of all others that have
# ended, and two threads that do so at a time leave one of them with 255.
CODES = threading.Lock()


def run(settings, talk):
    """Become the server."""
    os.dup2(os.open(talk, os.O_WRONLY | os.O_CREAT), 2)
    os.environ.update(settings)
    sys.argv = ["iris-api"]
    from iris_api.main import main

    main()


@contextmanager
def fork_server(records):
    """Serve until the block ends; gives the process and its port, when ready."""
    port = free_port()
    settings = {"IRIS_API_PORT": str(port), "IRIS_API_RECORDS": str(records)}
    process = FORKS.Process(target=run, args=(settings, f"{records}.log"))
    with CODES:
        process.start()
    try:
        wait_until_ready(process, port)
        yield process, port
    finally:
        process.kill()
        exit_code(process, None)


def exit_code(process, timeout_s):
    """Return the exit code, None if it still runs when the time is over."""
    wait([process.sentinel], timeout_s)
    with CODES:
        return process.exitcode


def wait_until_ready(process, port):
    """Return when the server answers; fail when it ends first."""
    while exit_code(process, 0) is None:
        try:
            assert send(port, "GET", "/readyz").status == 200
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"ended with {exit_code(process, 0)}")
