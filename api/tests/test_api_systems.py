"""The API on systems that are not this one, as far as they can be played here."""

import os
import subprocess
import sys

import pytest
from api_server import ROW, start_server

# Modules of others that look at the system are loaded before it changes.
WINDOWS = """
import asyncio, multiprocessing, selectors, subprocess, sys
import fastapi, httptools, loguru, numpy, onnxruntime, pydantic_settings, uvicorn
sys.platform = "win32"
for name in ("fcntl", "grp", "pwd", "resource", "termios", "uvloop"):
    sys.modules[name] = None
"""
MACOS = """
import os
for name in (
    "copy_file_range", "eventfd", "fdatasync", "memfd_create", "pidfd_open", "pipe2",
    "posix_fadvise", "posix_fallocate", "sched_getaffinity", "splice",
):
    if hasattr(os, name):
        delattr(os, name)
"""


def path_on(system, folder):
    """Return a PYTHONPATH with which Python takes away what another system lacks."""
    (folder / "sitecustomize.py").write_text(system)
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


@pytest.mark.parametrize("arguments", [[], ["key", "a"]])
def test_command_ends_with_one_line_when_the_system_is_windows(tmp_path, arguments):
    done = subprocess.run(
        [sys.executable, "-m", "iris_api", *arguments],
        env={**os.environ, "PYTHONPATH": path_on(WINDOWS, tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        "iris-api: runs on Linux and macOS, not on win32; "
        "on Windows it runs in WSL 2\n"
    )


def test_rows_are_predicted_when_the_system_lacks_what_macos_lacks(tmp_path):
    records = str(tmp_path / "records.jsonl")
    path = path_on(MACOS, tmp_path)
    with start_server(IRIS_API_RECORDS=records, PYTHONPATH=path) as server:
        assert server.predict({"inputs": [ROW]}).status == 200
        assert server.stop() == 0
        assert "Traceback" not in server.talk()
