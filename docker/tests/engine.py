"""A Docker engine for the tests: the machine's, or one of their own."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.system.engine_client import CLIENT

# Layers are kept from run to run.
LAYERS = Path(".tox/engine")
START_S = 60
PROGRAMS = {
    "dockerd": "docker.io",
    "docker-compose": "docker-compose",
    "mmdebstrap": "mmdebstrap",
}


@contextmanager
def engine() -> Iterator[None]:
    """Have an engine until the block ends; start one if none answers, and stop it."""
    if is_running():
        yield
        return
    check_machine()
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        # The address of a Unix socket must be short, so it is not beside the layers.
        address = f"unix://{folder}/docker.sock"
        os.environ["DOCKER_HOST"] = address
        command = ["dockerd", "--host", address, "--data-root", str(LAYERS.absolute())]
        command += ["--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
        with Path(folder, "log").open("w+") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                wait_until_running(process, Path(folder, "log"))
                yield
            finally:
                process.terminate()
                process.wait(60)
                del os.environ["DOCKER_HOST"]


def is_running() -> bool:
    """Return whether an engine answers."""
    if shutil.which(CLIENT) is None:
        return False
    return subprocess.run([CLIENT, "info"], capture_output=True).returncode == 0


def check_machine() -> None:
    """Fail with one line if an engine cannot be started here."""
    if os.getuid() != 0:
        raise SystemExit(
            "no Docker engine answers, and only root can start one: "
            "start yours, or run this as root"
        )
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        packages = " ".join(PROGRAMS[name] for name in missing)
        raise SystemExit(
            f"{', '.join(missing)} missing: on Debian, apt install {packages}"
        )


def wait_until_running(process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the engine answers; fail with its log if it does not."""
    deadline = time.monotonic() + START_S
    while not is_running():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"dockerd does not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.2)
