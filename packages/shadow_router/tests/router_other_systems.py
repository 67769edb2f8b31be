"""Play another system to a process: take away at its start what that one lacks."""

import os

#: Modules of others that look at the system are loaded before it changes.
WINDOWS = """
import asyncio, multiprocessing, selectors, subprocess, sys
import loguru, pydantic_settings, typer
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


def on(system, folder):
    """Return the environment of a process on another system."""
    (folder / "sitecustomize.py").write_text(system)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}
