"""
Install locked requirements into a folder of the image; runs while it is built.

usage: install.py [--offline] TARGET REQUIREMENTS (a file, or a folder of them)

The same requirements give the same bytes: modules are compiled here, checked against
nothing later, and no file keeps the time at which it was written.
"""

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

CERTIFICATES = Path("/run/secrets/certificates")
# What hatchling gives to the files of a wheel: any constant would do.
EPOCH = 1580601600
# A third of what is installed: tests of others, tools for making models, and a
# library for callers of other languages. A contract test that needs one would be red.
LEFT_OUT = [
    "**/tests",
    "onnxruntime/capi/libonnxruntime.so.*",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    # Commands would name the interpreter of the build.
    "bin",
]


def main(target: Path, requirements: Path, is_offline: bool) -> None:
    """Install, and leave nothing behind that differs from build to build."""
    files = sorted(requirements.iterdir()) if requirements.is_dir() else [requirements]
    locked = Path("/tmp/locked.txt")
    locked.write_text("".join(map(own_lines, files)))
    install(target, locked, is_offline)
    leave_out(target)
    compile_modules(target, strip=str(target.parent))
    reset_times(target.parent)


def own_lines(file: Path) -> str:
    """Return a requirements file less the files it includes: they have a layer."""
    lines = file.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("-r "))


def install(target: Path, locked: Path, is_offline: bool) -> None:
    """Run pip; every file must have a hash that is written down, and be a wheel."""
    command = [sys.executable, "-m", "pip", "install", "--require-hashes", "--no-deps"]
    command += ["--only-binary", ":all:", "--no-compile", "--no-cache-dir", "-qq"]
    command += ["--disable-pip-version-check", "--root-user-action", "ignore"]
    command += ["--find-links", "/index", "--target", str(target), "-r", str(locked)]
    if is_offline:
        command += ["--no-index"]
    if CERTIFICATES.exists():
        os.environ["PIP_CERT"] = str(CERTIFICATES)
    if code := subprocess.run(command).returncode:
        raise SystemExit(code)


def leave_out(target: Path) -> None:
    """Remove what no process of ours loads."""
    for pattern in LEFT_OUT:
        for path in list(target.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def compile_modules(folder: Path, strip: str) -> None:
    """Compile all modules; the file system is read-only, so none will ever change."""
    for stale in list(folder.rglob("__pycache__")):
        shutil.rmtree(stale)
    compileall.compile_dir(
        folder,
        quiet=2,
        stripdir=strip,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def reset_times(folder: Path) -> None:
    """Give a folder, and everything in it, the one time."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


if __name__ == "__main__":
    arguments = [part for part in sys.argv[1:] if part != "--offline"]
    main(Path(arguments[0]), Path(arguments[1]), "--offline" in sys.argv)
