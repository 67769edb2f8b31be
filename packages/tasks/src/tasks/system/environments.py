"""
The environments of the services: filled once, and again only from where they differ.

A step is what `uv pip install` is given. An environment notes the digest of each step
that it has taken, and of the files that the step names; taking none needs no network.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ENVIRONMENTS = Path(".tox/services")
REQUIREMENTS = Path("api/requirements")
API = Path("api")
ROUTER = Path("packages/shadow_router")
# What a wheel is made of.
SOURCES = ("pyproject.toml", "README.md", "src/**/*")
NOTE = "steps.txt"


class CannotStart(Exception):
    """Raised when the services cannot be started; says why and what to do."""


def prepare_api(role: str) -> Path:
    """
    Install the API with the model a role pins; return the folder of its commands.

    Parameters
    ----------
    role : str
        ``live`` or ``shadow``: the requirements file to install.

    Raises
    ------
    CannotStart
        If something cannot be installed.
    """
    base, locked = REQUIREMENTS / "base.txt", REQUIREMENTS / f"{role}.txt"
    pinned = next(line for line in locked.read_text().splitlines() if "==" in line)
    wheel = str(build(API))
    steps = [
        ["--require-hashes", "-r", str(base), "-r", str(locked)],
        ["--no-deps", "--reinstall-package", "iris_api", wheel],
    ]
    if any(value for name, value in os.environ.items() if name.startswith("OTEL_")):
        steps.append(["-r", str(locked), f"{wheel}[otel]"])
    return fill(role, f"{role}: {pinned.split()[0]}", steps)


def prepare_wheel(wheel: Path) -> Path:
    """
    Install the API with a model from a wheel; return the folder of its commands.

    Raises
    ------
    CannotStart
        If there is no such wheel, or something cannot be installed.
    """
    if not wheel.is_file():
        raise CannotStart(f"{wheel} is not there")
    steps = [
        ["--require-hashes", "-r", str(REQUIREMENTS / "base.txt")],
        ["--no-deps", "--reinstall-package", "iris_api", str(build(API))],
        ["--no-deps", "--reinstall-package", "iris_model", str(wheel)],
    ]
    return fill(wheel.stem, wheel.name, steps)


def prepare_router(name: str = "router") -> Path:
    """Install the router into an environment; return the folder of its commands."""
    steps = [
        ["--require-hashes", "-r", str(ROUTER / "requirements.txt")],
        ["--no-deps", "--reinstall-package", "shadow_router", str(build(ROUTER))],
    ]
    return fill(name, name, steps)


def fill(name: str, what: str, steps: list[list[str]]) -> Path:
    """
    Make an environment hold what steps install; return the folder of its commands.

    Parameters
    ----------
    name : str
        Of the environment.
    what : str
        Is told to be prepared, if there is anything to do.
    steps : list of list of str
        Arguments of ``uv pip install``. What a step installs may depend on the steps
        before: the first one that differs is taken again, with all that follow.

    Raises
    ------
    CannotStart
        If something cannot be installed.
    """
    folder = ENVIRONMENTS / name
    python, note = folder / "bin" / "python", folder / NOTE
    wanted = [sys.version.replace("\n", " "), *map(digest_of_step, steps)]
    taken = note.read_text().splitlines() if note.exists() else []
    if taken == wanted and python.exists():
        return python.parent
    print(f"preparing {what}", flush=True)
    if taken[:1] != wanted[:1] or not python.exists():
        uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        taken = wanted[:1]
    for number, step in enumerate(steps, 1):
        if taken[number : number + 1] == wanted[number : number + 1]:
            continue
        # What is torn down by a failure must not count as taken.
        taken = wanted[:number]
        note.write_text("\n".join(taken) + "\n")
        uv("pip", "install", "--quiet", "--python", str(python), *step)
    note.write_text("\n".join(wanted) + "\n")
    return python.parent


def build(unit: Path) -> Path:
    """
    Return the wheel of a unit of this tree, built unless its sources have one already.

    The backend is that of the environment that runs this, so that nothing is fetched.

    Raises
    ------
    CannotStart
        If it cannot be built.
    """
    sources = sorted(
        path
        for pattern in SOURCES
        for path in unit.glob(pattern)
        if path.is_file() and path.suffix != ".pyc"
    )
    folder = ENVIRONMENTS / "wheels" / digest_of_files(sources)
    if not folder.exists():
        scratch = folder.with_name(f"{folder.name}-{os.getpid()}")
        command = ["build", "--quiet", "--wheel", "--no-build-isolation"]
        uv(*command, "--python", sys.executable, "--out-dir", str(scratch), str(unit))
        # Another start may have been quicker.
        with contextlib.suppress(OSError):
            scratch.rename(folder)
    return next(folder.glob("*.whl"))


def digest_of_step(step: list[str]) -> str:
    """Return what changes when a step or a file that it names does."""
    files = [Path(word) for word in step if Path(word).is_file()]
    return hashlib.sha256(f"{step} {digest_of_files(files)}".encode()).hexdigest()


def digest_of_files(paths: list[Path]) -> str:
    """Return what changes when a file or its path does."""
    digest = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path} {content}\n".encode())
    return digest.hexdigest()


def uv(*arguments: str) -> None:
    """Run uv; its own message tells what is wrong."""
    if subprocess.run(["uv", *arguments]).returncode:
        raise CannotStart(f"uv {' '.join(arguments)} failed: see above")
