"""
Run the notebooks, each into a page of its own.

On a laptop they are left alone when nothing that they depend on has changed since they
last ran: their text, what they decided, and every library, the model's wheel included.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from tasks.exit_codes import exit_code

RESEARCH = Path("research")
BUILD = RESEARCH / "build"
SEEN = BUILD / "inputs.sha256"


def digest_inputs() -> str:
    """Return one digest of all that decides what the notebooks find."""
    digest = hashlib.sha256()
    for path in [*sorted(RESEARCH.glob("*.ipynb")), RESEARCH / "decision.yml"]:
        digest.update(path.name.encode() + path.read_bytes())
    for one in sorted(distributions(), key=lambda one: one.name):
        # RECORD has the digest of every file; dist-info says where it came from.
        files = (one.read_text("RECORD") or one.version).splitlines()
        code = [line for line in files if ".dist-info/" not in line]
        digest.update("\n".join(sorted(code)).encode())
    return digest.hexdigest()


def main() -> int:
    """Run them unless that would find the same; return the exit code."""
    pages = [BUILD / f"{path.stem}.html" for path in RESEARCH.glob("*.ipynb")]
    is_seen = SEEN.exists() and SEEN.read_text() == digest_inputs()
    if is_seen and all(page.exists() for page in pages) and not os.environ.get("CI"):
        print(
            f"nothing has changed since the notebooks ran; their pages are in {BUILD}"
        )
        return 0
    SEEN.unlink(missing_ok=True)
    # In their order: each takes up what the one before it found.
    notebooks = sorted(str(path) for path in RESEARCH.glob("*.ipynb"))
    options = ["--to", "html", "--execute", "--log-level", "WARN"]
    command = ["jupyter", "nbconvert", *options, "--output-dir", str(BUILD)]
    code = subprocess.run([*command, *notebooks]).returncode
    if code == 0:
        SEEN.write_text(digest_inputs())
    return code


if __name__ == "__main__":
    sys.exit(exit_code("notebooks", main, {}))
