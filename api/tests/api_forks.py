"""The command, in forks of a process that has imported it: quick to start often."""

import multiprocessing
import os
import sys
import time
from contextlib import contextmanager

from api_server import free_port, send

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["iris_api.main", "onnxruntime"])


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
    process.start()
    try:
        wait_until_ready(process, port)
        yield process, port
    finally:
        process.kill()
        process.join()


def wait_until_ready(process, port):
    """Return when the server answers; fail when it ends first."""
    while process.is_alive():
        try:
            assert send(port, "GET", "/readyz").status == 200
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"ended with {process.exitcode}")
