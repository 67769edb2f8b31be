"""
Build the images: two roles of the API, and the router.

Everything is installed from wheels whose hash is written down. The wheels of API and
router are this tree's, or with ``--published`` those that docker/requirements.txt pins.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tasks.arguments import given
from tasks.exit_codes import REFUSED, exit_code
from tasks.system.engine_client import CLIENT, inspect
from tasks.system.image_sbom import make_sbom

INDEX = Path("packages/index")
REQUIREMENTS = Path("api/requirements")
ROUTER_REQUIREMENTS = Path("packages/shadow_router/requirements.txt")
DOCKER_FOLDER = Path("docker")
PINS = DOCKER_FOLDER / "requirements.txt"
SBOMS = Path("dist")
SOURCES = {"iris_api": Path("api"), "shadow_router": Path("packages/shadow_router")}
ROLES = ("live", "shadow")
CERTIFICATE_SETTINGS = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


class CannotBuild(Exception):
    """Raised when an image cannot be built; says why and what to do."""


@dataclass(frozen=True)
class Image:
    """What is built: its Dockerfile, its tags, and its build arguments."""

    dockerfile: str
    tags: list[str]
    arguments: dict[str, str]


@dataclass(frozen=True)
class Pin:
    """A version of a package, and the digest of its wheel."""

    version: str
    digest: str


def main(arguments: list[str]) -> int:
    """Parse the command line, build the images, print what they are."""
    parser = argparse.ArgumentParser(prog="tox run -e images --", description=__doc__)
    parser.add_argument("--base", help="base image, instead of the Dockerfile's")
    parser.add_argument(
        "--published", action="store_true", help="the wheels that are pinned"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="images-") as folder:
        context = Path(folder)
        prepare(context, options.published)
        for image in images(context):
            identity = build(context, image, options.base)
            size = int(inspect(identity, "{{.Size}}"))
            print(f"{image.tags[0]}  {identity}  {size / 1e6:.0f} MB", flush=True)
            SBOMS.mkdir(exist_ok=True)
            name = image.tags[0].replace(":", "-")
            (SBOMS / f"{name}.cdx.json").write_text(make_sbom(identity))
    return 0


def prepare(context: Path, is_published: bool) -> None:
    """
    Fill a build context: index, requirements, and the scripts that run in a build.

    Raises
    ------
    CannotBuild
        If a wheel that is asked for is not there.
    """
    index, requirements = context / "index", context / "requirements"
    index.mkdir()
    for wheel in INDEX.glob("*/*.whl"):
        shutil.copyfile(wheel, index / wheel.name)
    requirements.mkdir()
    for locked in REQUIREMENTS.glob("*.txt"):
        shutil.copyfile(locked, requirements / locked.name)
    shutil.copyfile(ROUTER_REQUIREMENTS, requirements / "router.txt")
    shutil.copytree(
        DOCKER_FOLDER / "image",
        context / "image",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name, source in SOURCES.items():
        line = pinned(name) if is_published else pin_of(from_tree(source, index))
        (requirements / f"{name}.txt").write_text(line)


def pinned(name: str) -> str:
    """Return the line that pins a package; CannotBuild unless it fits one wheel."""
    lines = [x for x in PINS.read_text().splitlines() if x.startswith(f"{name}==")]
    published = [pin_of(wheel) for wheel in (INDEX / name).glob("*.whl")]
    if len(lines) != 1 or f"{lines[0]}\n" not in published:
        raise CannotBuild(
            f"{PINS} does not pin {name} to a wheel of {INDEX}: put there the line "
            "that tox run -e publish printed, or leave out --published"
        )
    return f"{lines[0]}\n"


def pin_of(wheel: Path) -> str:
    """Return the line of a requirements file that a wheel alone fulfils."""
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{digest_of(wheel)}\n"


def from_tree(source: Path, index: Path) -> Path:
    """Build a wheel of this tree into the index of a context."""
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
        command = ["uv", "build", "--quiet", "--wheel", "--out-dir", folder]
        if subprocess.run([*command, str(source)]).returncode:
            raise CannotBuild(f"{source} cannot be built: see above")
        built = next(Path(folder).glob("*.whl"))
        return Path(shutil.copyfile(built, index / built.name))


def digest_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_pin(requirements: Path) -> Pin:
    """Return the one pin of a requirements file that also includes others."""
    found = re.findall(
        r"^\S+==(\S+) --hash=sha256:(\w{64})$", requirements.read_text(), re.M
    )
    if len(found) != 1:
        raise CannotBuild(f"{requirements.name} must pin one version with one hash")
    return Pin(*found[0])


def images(context: Path) -> list[Image]:
    """Return what can be built from a context."""
    requirements = context / "requirements"
    api, router = (read_pin(requirements / f"{name}.txt") for name in SOURCES)
    built = []
    for role in ROLES:
        model = read_pin(requirements / f"{role}.txt")
        arguments = {
            "ROLE": role,
            "API_VERSION": api.version,
            "API_DIGEST": api.digest,
            "MODEL_VERSION": model.version,
            "MODEL_DIGEST": model.digest,
        }
        tag = f"iris-api:{api.version}-model-{model.version}"
        built.append(Image("api", [tag, f"iris-api:{role}"], arguments))
    arguments = {"ROUTER_VERSION": router.version, "ROUTER_DIGEST": router.digest}
    tags = [f"shadow-router:{router.version}", "shadow-router:latest"]
    return [*built, Image("shadow_router", tags, arguments)]


def build(context: Path, image: Image, base: str | None, is_fresh: bool = False) -> str:
    """
    Build an image on the engine and return its identity, a digest.

    Parameters
    ----------
    base : str or None
        Base image instead of the one in the Dockerfile.
    is_fresh : bool
        Build every layer anew, whatever the engine remembers.
    """
    arguments = {**image.arguments, "REVISION": revision()}
    if base is not None:
        arguments["BASE"] = base
    dockerfile = DOCKER_FOLDER / f"{image.dockerfile}.Dockerfile"
    command = [CLIENT, "build", "--quiet", "--network", "host"]
    command += ["--file", str(dockerfile), *secrets()]
    command += ["--no-cache"] if is_fresh else []
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    for tag in image.tags:
        command += ["--tag", tag]
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    done = subprocess.run(
        [*command, str(context)], env=environment, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise CannotBuild(f"{dockerfile} cannot be built: see above")
    return done.stdout.strip()


def secrets() -> list[str]:
    """Return options that lend a build the machine's way to its package index."""
    certificates = next(
        (os.environ[name] for name in CERTIFICATE_SETTINGS if os.environ.get(name)), ""
    )
    files = {
        "pip_global": Path("/etc/pip.conf"),
        "pip_user": Path.home() / ".config/pip/pip.conf",
        "certificates": Path(certificates or "/nonexistent"),
    }
    options = []
    for name, path in files.items():
        if path.is_file():
            options += ["--secret", f"id={name},src={path}"]
    return options


def revision() -> str:
    """Return the commit that is checked out, marked if the tree differs from it."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def layers(identity: str) -> list[str]:
    """Return the digests of an image's layers, lowest first."""
    found: list[str] = json.loads(inspect(identity, "{{json .RootFS.Layers}}"))
    return found


if __name__ == "__main__":
    codes: dict[type[Exception], int] = {CannotBuild: REFUSED}
    sys.exit(exit_code("cannot build", lambda: main(given()), codes))
