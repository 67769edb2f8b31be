"""
Prometheus beside the system, where it is installed: our rules, this machine's ports.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

CONFIGURATION = Path("docker/prometheus/prometheus.yml")
RULES = "rules/*.yml"


def find_prometheus() -> str | None:
    """Return the command of Prometheus, None where it is not installed."""
    return shutil.which("prometheus")


def prometheus_command(
    program: str, folder: Path, port: int, targets: Mapping[str, str]
) -> list[str]:
    """
    Write the configuration for this machine and return the command that uses it.

    Parameters
    ----------
    program : str
        Of Prometheus.
    folder : Path
        For configuration and data; what an earlier start left there goes.
    port : int
        To listen on, on this machine alone.
    targets : mapping of str to str
        Targets of `CONFIGURATION`, and where they are here.
    """
    # Counters that begin anew soon pass where the last start left them, and Prometheus
    # would take that for going on, in some bins of a histogram and not in others.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    written = folder / CONFIGURATION.name
    written.write_text(local_configuration(CONFIGURATION, targets))
    return [
        program,
        f"--config.file={written}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]


def local_configuration(path: Path, targets: Mapping[str, str]) -> str:
    """
    Return the configuration of the containers with other addresses in it.

    Raises
    ------
    ValueError
        If a target is not in it: nobody would watch what runs there.
    """
    text = path.read_text()
    for name, address in {RULES: f"{path.parent.resolve()}/{RULES}", **targets}.items():
        if name not in text:
            raise ValueError(f"{path} does not name {name}")
        # Quoted: an IPv6 address begins as a list of YAML does.
        text = text.replace(name, json.dumps(address))
    return text
