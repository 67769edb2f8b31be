"""Whether a report of the router lets a version become live."""

from __future__ import annotations

import json
import ssl
import time
import urllib.request
from pathlib import Path
from typing import Any

from tasks.deploy.deployed_images import DeployRefused

SECONDS = 30
# How far the router's clock and the one here may be apart.
_SKEW_MINUTES = 1


def check_verdict(where: str, live: str, shadow: str, max_age_minutes: float) -> str:
    """
    Return the evidence of a fresh PASS for exactly two pins, in words.

    Parameters
    ----------
    where : str
        URL or file of `report.json`, or what `shadow-router verdict --json` printed.

    Raises
    ------
    DeployRefused
        If it cannot be read, is no PASS, is stale, or of other versions.
    """
    report = read_report(where)
    try:
        verdict = report["verdict"]
        state, reason = str(verdict["state"]), str(verdict["reason"])
        age_minutes = (time.time() - float(report["newest_at"])) / 60
        versions = {role: set(report["versions"][role]) for role in ("live", "shadow")}
        inputs = int(report["unique_inputs"])
    except (KeyError, TypeError, ValueError):
        raise DeployRefused(f"{where} is no report of the router") from None
    if state != "PASS":
        raise DeployRefused(f"the verdict is {state}, not PASS: {reason}")
    if age_minutes < -_SKEW_MINUTES:
        raise DeployRefused(
            f"the newest comparison is {-age_minutes:,.0f} min ahead of the clock "
            "here: one of them is wrong"
        )
    # This way around, so that no age is fresh enough for NaN.
    if not age_minutes <= max_age_minutes:
        raise DeployRefused(
            f"the verdict is stale: its newest comparison is {age_minutes:,.0f} min "
            f"old, at most {max_age_minutes:,.0f} are allowed (--max-age-minutes)"
        )
    for role, pin in {"live": live, "shadow": shadow}.items():
        if versions[role] != {version_of(pin)}:
            seen = ", ".join(sorted(map(str, versions[role]))) or "nothing"
            raise DeployRefused(
                f"{role} of this run was {seen}, its pin is {pin.split()[0]}"
            )
    return f"verdict PASS on {inputs:,} unique inputs"


def version_of(pin: str) -> str:
    """Return the version in a pin."""
    return pin.split()[0].partition("==")[2]


def read_report(where: str) -> dict[str, Any]:
    """
    Return the document at a URL or in a file.

    Raises
    ------
    DeployRefused
        If it cannot be had, or is no JSON.
    """
    try:
        if where.startswith(("http://", "https://")):
            context = ssl.create_default_context()
            with urllib.request.urlopen(
                where, timeout=SECONDS, context=context
            ) as answer:
                document = json.load(answer)
        else:
            document = json.loads(Path(where).read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
        raise DeployRefused(f"{where}: {reason or 'is no JSON'} (--report)") from None
    if not isinstance(document, dict):
        raise DeployRefused(f"{where} is no report of the router")
    return document
