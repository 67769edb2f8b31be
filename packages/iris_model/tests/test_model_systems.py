"""The model on systems that are not this one, as far as they can be played here."""

import os
import subprocess
import sys
from pathlib import Path

from iris_model.machine import usable_cores

WINDOWS = """
import asyncio, multiprocessing, selectors, subprocess, sys
import numpy, onnxruntime
sys.platform = "win32"
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
"""
MACOS = """
import os
for name in ("fdatasync", "posix_fadvise", "posix_fallocate", "sched_getaffinity"):
    delattr(os, name)
"""
SCORE = """
import sys
from iris_model import files
from iris_model.cli import main
files.SETTLED_BYTES = 64
sys.exit(main(sys.argv[1:]))
"""
ROWS = Path(__file__).parents[1] / "src/iris_model/datasets/iris.csv"


def run_on(
    system: str, folder: Path, *command: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with what another system lacks taken away at its start."""
    (folder / "sitecustomize.py").write_text(system)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_command_ends_with_one_line_when_the_system_is_windows(tmp_path: Path) -> None:
    done = run_on(WINDOWS, tmp_path, "-m", "iris_model", "card")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        "iris-model: runs on Linux and macOS, not on win32; "
        "on Windows it runs in WSL 2\n"
    )


def test_score_writes_the_same_when_the_system_lacks_what_macos_lacks(
    tmp_path: Path,
) -> None:
    written = []
    for name, system in (("linux", ""), ("macos", MACOS)):
        output = tmp_path / f"{name}.csv"
        command = ("-c", SCORE, "score", str(ROWS), str(output))
        done = run_on(system, tmp_path, *command)
        assert done.returncode == 0, done.stderr
        written.append(output.read_bytes())
    assert written[0] == written[1]


def test_cores_are_those_that_this_process_may_use() -> None:
    assert usable_cores() == len(os.sched_getaffinity(0))
