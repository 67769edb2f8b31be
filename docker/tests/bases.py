"""Images of Debian alone, for a machine that can pull none."""

import subprocess
import tempfile
from pathlib import Path

from tasks.system.engine_client import CLIENT

SUITE = "bookworm"
PACKAGES = {
    # What the Dockerfiles build on, in the place of the public Python image.
    "base-python": "ca-certificates,python3,python3-venv",
    # What compose.yaml runs beside our own images.
    "base-prometheus": "prometheus",
    "base-postgresql": "postgresql",
}


def make_base(name: str) -> str:
    """Make an image of Debian packages unless the engine has it; return its name."""
    tag = f"{name}:{SUITE}"
    found = subprocess.run([CLIENT, "image", "inspect", tag], capture_output=True)
    if found.returncode:
        with tempfile.TemporaryDirectory(prefix="base-") as folder:
            archive = Path(folder, "base.tar")
            command = ["mmdebstrap", "--quiet", "--variant=minbase"]
            command += [f"--include={PACKAGES[name]}", SUITE, str(archive)]
            subprocess.run(command, check=True)
            subprocess.run([CLIENT, "import", str(archive), tag], check=True)
    return tag
