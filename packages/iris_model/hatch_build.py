"""
Train while the wheel is built, so that no wheel can be without its artefact.

The requirements of training are the package's own ``train`` extra: stated once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TrainingBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Add a freshly trained ``iris_model/trained/`` to the wheel."""

    def dependencies(self) -> list[str]:
        """Return what training needs; nothing for targets that do not train."""
        if self.target_name != "wheel":
            return []
        return list(self.metadata.core.optional_dependencies["train"])

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Train into a scratch folder and place the three files in the wheel."""
        if self.target_name != "wheel" or version == "editable":
            return
        self._scratch = tempfile.TemporaryDirectory()
        source = Path(self.root) / "src"
        subprocess.run(
            [sys.executable, "-m", "iris_model", "train", "--output"]
            + [self._scratch.name],
            env={**os.environ, "PYTHONPATH": str(source)},
            stdout=sys.stderr,  # stdout belongs to the build front end
            check=True,
        )
        for file in sorted(Path(self._scratch.name).iterdir()):
            build_data["force_include"][str(file)] = f"iris_model/trained/{file.name}"

    def finalize(
        self, version: str, build_data: dict[str, Any], artifact_path: str
    ) -> None:
        """Remove the scratch folder once the wheel is written."""
        if hasattr(self, "_scratch"):
            self._scratch.cleanup()
