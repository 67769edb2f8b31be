"""The command line of a Docker engine."""

from __future__ import annotations

import subprocess
from pathlib import Path

# Debian's own client comes with BuildKit; others need a plugin that may be missing.
CLIENT = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"


def docker(*arguments: str) -> str:
    """Run the client and return what it prints; its errors are its own to tell."""
    done = subprocess.run(
        [CLIENT, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def inspect(name: str, template: str) -> str:
    """Return what the engine knows of an image or a container."""
    return docker("inspect", "--format", template, name)
