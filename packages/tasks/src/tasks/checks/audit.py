"""
Ask for known vulnerabilities of everything that is locked, and prove that we can see.

Every question carries a canary: a version whose vulnerability has been public for
years. A service that does not report it says nothing about the rest either.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.utils import canonicalize_name

from tasks.arguments import given
from tasks.exit_codes import exit_code
from tasks.refusal import RED_GATE, Refused
from tasks.release.lock import LOCKS, read_lock

# CVE-2020-1747: runs code from a document that it reads. Nothing here needs PyYAML;
# if something ever does, take a vulnerable version of another package.
CANARY = ("pyyaml", "5.3")
Pin = tuple[str, str]
Findings = dict[Pin, list[str]]


def main(arguments: list[str]) -> None:
    """
    Audit every lock.

    Parameters
    ----------
    arguments : list of str
        Further options of pip-audit, such as ``--osv-url`` of a mirror.

    Raises
    ------
    Refused
        If something is vulnerable, or the audit could not see.
    """
    locks = [read_lock(lock.target.read_text()) for lock in LOCKS]
    pins = {(canonicalize_name(e.name), e.version) for lock in locks for e in lock}
    found: Findings = {}
    for together in rounds(pins):
        found |= ask([*together, CANARY], arguments)
    told = [f"{n} {v}: {', '.join(ids)}" for (n, v), ids in sorted(found.items())]
    if told:
        raise Refused(f"known vulnerabilities: {'; '.join(told)}")
    print(f"{len(pins)} locked versions, none with a known vulnerability")


def rounds(pins: Iterable[Pin]) -> list[list[Pin]]:
    """
    Return pins in lists that name each package once.

    A lock may hold two versions of a package, for two versions of Python. Asked with
    their markers, those of other Pythons and systems would silently be left out.
    """
    lists: list[list[Pin]] = []
    for pin in sorted(pins):
        fitting = [known for known in lists if pin[0] not in dict(known)]
        if fitting:
            fitting[0].append(pin)
        else:
            lists.append([pin])
    return lists


def ask(pins: list[Pin], options: list[str]) -> Findings:
    """
    Return the vulnerable pins with the names of what they are vulnerable to.

    Parameters
    ----------
    pins : list
        With the canary, which is not returned.
    options : list of str
        Of pip-audit.

    Raises
    ------
    Refused
        If the canary, or any pin, is missing in the answer.
    """
    answers = {
        (entry["name"], entry["version"]): [v["id"] for v in entry["vulns"]]
        for entry in _pip_audit(pins, options)
        if "skip_reason" not in entry
    }
    if missing := set(pins) - answers.keys():
        raise Refused(f"the audit is blind: no answer for {' '.join(min(missing))}")
    if not answers.pop(CANARY):
        name = " ".join(CANARY)
        raise Refused(f"the audit is blind: the service knows nothing against {name}")
    return {pin: ids for pin, ids in answers.items() if ids}


def _pip_audit(pins: list[Pin], options: list[str]) -> list[dict[str, Any]]:
    with TemporaryDirectory(prefix="audit-") as folder:
        asked = Path(folder) / "requirements.txt"
        asked.write_text("".join(f"{name}=={version}\n" for name, version in pins))
        command = [sys.executable, "-m", "pip_audit", "--strict", "--no-deps"]
        command += ["--disable-pip", "--progress-spinner", "off", "--format", "json"]
        command += ["--vulnerability-service", "osv", "-r", str(asked), *options]
        done = subprocess.run(command, capture_output=True, text=True)
    try:
        entries: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        raise Refused(f"the audit is blind: {last or 'pip-audit says nothing'}")
    return entries


if __name__ == "__main__":
    sys.exit(exit_code("audit", lambda: main(given()), RED_GATE))
