"""A package registry behind a URL: uploads with twine, and reads back what is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import requests
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from pypi_simple import DistributionPackage, NoSuchProjectError, PyPISimple

from tasks.refusal import Refused
from tasks.wheels.bundle import Bundle, digest
from tasks.wheels.versions import Version, parse_version

# A registry may show an upload a little later than it takes it.
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Registry:
    """
    Where twine uploads to.

    Parameters
    ----------
    url : str
        Of uploads. What is there is read at ``simple/`` below it, as nearly all
        registries have it; of PyPI and its kin, where PyPI has it.
    patience_s : float
        How long an upload may take to be seen.
    """

    url: str
    patience_s: float = PATIENCE_S

    def __post_init__(self) -> None:
        # Whatever was meant as a URL may hold a secret: no part of it is said.
        if "@" in self.url or "?" in self.url or "#" in self.url:
            raise Refused("a URL with a password is logged: use TWINE_PASSWORD")
        try:
            where = urlsplit(self.url)
            is_url = where.scheme in ("http", "https") and bool(where.hostname)
            is_url = is_url and where.port != 0
        except ValueError:
            is_url = False
        if not is_url:
            raise Refused("that is not the URL of a registry, such as https://…")

    def __str__(self) -> str:
        return self.url

    @property
    def simple(self) -> str:
        """The URL of the simple index."""
        where = urlsplit(self.url)
        if where.path.rstrip("/") == "/legacy":
            host = where.netloc.removeprefix("upload.")
            return f"{where.scheme}://{host}/simple/"
        return f"{self.url.rstrip('/')}/simple/"

    def versions(self, name: str) -> list[Version]:
        """Return the published versions of a unit."""
        return [version for version, _ in self._wheels(name)]

    def fetch(self, name: str, version: Version, folder: Path) -> Path:
        """Download a published wheel, hold it against its digest, return its path."""
        found = dict(self._wheels(name))[version]
        target = folder / found.filename
        with self._reader() as reader:
            try:
                # Not every registry tells digests; uploads are compared anyway.
                verified = bool(found.digests)
                reader.download_package(found, target, verify=verified, timeout=60)
            except (requests.RequestException, ValueError, RuntimeError) as error:
                reason = type(error).__name__
                what = f"{found.filename} cannot be read back: {reason}"
                raise Refused(what) from None
        return target

    def add(self, name: str, bundle: Bundle) -> str:
        """
        Upload a wheel and return where it was seen.

        Raises
        ------
        Refused
            If the registry refuses, or does not give back the same bytes afterwards.
        """
        command = [sys.executable, "-m", "twine", "upload", "--non-interactive"]
        command += ["--disable-progress-bar", "--repository-url", self.url]
        done = subprocess.run(
            [*command, str(bundle.wheel)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            reason = _reason(done.stdout)
            raise Refused(f"{self.url} did not take {bundle.wheel.name}: {reason}")
        self._check_arrived(name, bundle)
        return f"{self.simple}{name}/{bundle.wheel.name}"

    def _check_arrived(self, name: str, bundle: Bundle) -> None:
        version = parse_version(str(parse_wheel_filename(bundle.wheel.name)[1]))
        end = time.monotonic() + self.patience_s
        while version not in self.versions(name):
            if time.monotonic() > end:
                raise Refused(
                    f"{self.url} took {bundle.wheel.name} and does not list it"
                )
            time.sleep(0.2)
        with TemporaryDirectory(prefix="arrived-") as folder:
            arrived = self.fetch(name, version, Path(folder))
            if digest(arrived) != digest(bundle.wheel):
                raise Refused(f"{self.url} gives other bytes for {bundle.wheel.name}")

    def _wheels(self, name: str) -> list[tuple[Version, DistributionPackage]]:
        try:
            with self._reader() as reader:
                packages = reader.get_project_page(name, timeout=15).packages
        except NoSuchProjectError:
            return []
        except (requests.RequestException, ValueError) as error:
            reason = type(error).__name__
            raise Refused(f"{self.simple} cannot be read: {reason}") from None
        wheels = [p for p in packages if p.filename.endswith(".whl")]
        return [(_version_of(p.filename), p) for p in wheels]

    def _reader(self) -> PyPISimple:
        user = os.environ.get("TWINE_USERNAME")
        password = os.environ.get("TWINE_PASSWORD")
        # PyPI lets anybody read; a token for uploads stays with the host it is for.
        same_host = urlsplit(self.simple).netloc == urlsplit(self.url).netloc
        known = (user, password) if user and password and same_host else None
        return PyPISimple(self.simple, auth=known)


def _reason(output: str) -> str:
    """Return what twine says at its end, which it colours and wraps, in one line."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).rstrip()
    *_, last = plain.split("ERROR") if "ERROR" in plain else ["", *plain.splitlines()]
    return " ".join(last.split())[-200:] or "twine ended without a word"


def _version_of(filename: str) -> Version:
    try:
        return parse_version(str(parse_wheel_filename(filename)[1]))
    except InvalidWheelFilename:
        raise Refused(f"{filename} is in the registry and is no wheel") from None
