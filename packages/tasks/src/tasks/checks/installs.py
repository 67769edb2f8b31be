"""
Find installs that could bring something else than what was tested.

Our names are nobody's on the public registry: whoever takes one there, or offers a
wheel with a build tag elsewhere, wins over ours wherever a name is installed without a
hash. And beside credentials nothing may run that nobody has seen.
"""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.exit_codes import exit_code

# What installs, up to its first argument; in code, quotes and commas stand between.
COMMAND = re.compile(
    r"\b(?:(?:pip[\d.]*|pipx|uv|conda|poetry|pdm)\b['\",\s]+"
    r"(?:(?:pip|tool|-\S+)['\",\s]+)*(?:install|download|wheel|add|run|sync|inject)\b"
    r"|uvx\b|install\(|--with\b|additional_dependencies:)"
)
SEPARATORS = re.compile(r"[\s'\"`(){},]+")
PINNED = re.compile(r"api/requirements/(live|shadow)\.txt")
# In code an extra tells a requirement from a mere name.
LITERAL = re.compile(r"f?['\"]([\w.-]+\[[\w,-]+\](?:[=<>~!][^'\"]*)?)['\"]")
HASHED = "--hash=sha256:"
# What was said in the past, and what shows here how not to do it.
LEFT_OUT = re.compile(r"CHANGELOG\.md$|^packages/index/.+/|/test_tasks_installs\.py$")


@dataclass(frozen=True, slots=True)
class Own:
    """A distribution of ours: its name, its folder, and which others it needs."""

    name: str
    folder: str
    needs: frozenset[str]


def own_distributions(root: Path) -> list[Own]:
    """Return what this repository makes, by the pyproject.toml of each."""
    # Not what tools installed beside it, whose folders begin with a dot.
    folders = [
        path.parent
        for path in sorted(root.glob("**/pyproject.toml"))
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    found = {}
    for folder in folders:
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        needs = list(map(plain, project.get("dependencies", [])))
        found[plain(project["name"])] = (folder, needs)
    return [
        Own(name, str(folder.relative_to(root)), frozenset(needs) & found.keys())
        for name, (folder, needs) in found.items()
    ]


def plain(requirement: str) -> str:
    """Return the name in a requirement, as registries compare names."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def is_by_name(word: str, own: list[Own]) -> bool:
    """Return whether a word asks for one of ours by its name, in any version."""
    word = word.strip("[]")
    if not re.fullmatch(r"[\w.-]+(\[[\w,-]*\]?)?([=<>~!].*)?", word):
        return False
    return plain(word) in {one.name for one in own}


def faults_of_text(text: str, own: list[Own]) -> Iterator[str]:
    """Yield what is wrong with the commands in a text of any kind."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        for command in COMMAND.finditer(line):
            said = line[command.end() :].split("`")[0]
            yield from faults_of_command(SEPARATORS.split(said), said, own)


def faults_of_command(words: list[str], said: str, own: list[Own]) -> Iterator[str]:
    """Yield what is wrong with the arguments of one command."""
    named = [word for word in words if is_by_name(word, own)]
    if named and HASHED not in said:
        yield f"{named[0]} is installed by name, without a hash"
    for one in own:
        paths = [
            word
            for word in words
            if word.split("[")[0].removeprefix("./") == one.folder
        ]
        if paths and one.needs and "--no-deps" not in said and not PINNED.search(said):
            yield f"{paths[0]} brings {min(one.needs)} by name, without a hash"


def faults_of_requirements(text: str, own: list[Own]) -> Iterator[str]:
    """Yield the lines of a requirements file that name one of ours without a hash."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        word = line.split("#")[0].split(";")[0].strip().replace(" ", "")
        if is_by_name(word.split("--")[0], own) and HASHED not in line:
            yield f"{line.strip()} has no hash"


def faults_of_tox(text: str, own: list[Own]) -> Iterator[str]:
    """Yield the environments of a tox.ini that install one of ours by its name."""
    sections = read_tox(text)
    for name, section in sections.items():
        lines = dependencies(sections, name)
        for fault in faults_of_requirements("\n".join(lines), own):
            yield f"[{name}]: {fault}"
        package = sections.get(f"testenv:{section.get('package_env')}", {})
        roots = [line.removeprefix("-e ").split("[")[0] for line in lines]
        roots.append(package.get("package_root", "").removeprefix("{tox_root}/"))
        pinned = any(PINNED.search(line) for line in lines)
        for one in own:
            ours = {other.folder for other in own if other.name in one.needs}
            if one.folder in roots and not pinned and not ours <= set(roots):
                yield f"[{name}]: {one.folder} brings {min(one.needs)} without a hash"


def read_tox(text: str) -> dict[str, dict[str, str]]:
    """Return the settings of each section."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def dependencies(sections: dict[str, dict[str, str]], name: str) -> list[str]:
    """Return the lines of what an environment installs, with those it refers to."""
    lines = []
    for line in sections.get(name, {}).get("deps", "").splitlines():
        while found := re.fullmatch(r"\{\[(.+)\](\w+)\}", line.strip()):
            line = sections.get(found[1], {}).get(found[2], "")
        lines += [one.strip() for one in line.splitlines() if one.strip()]
    return lines


def faults_of_workflow(text: str, tox_ini: str) -> Iterator[str]:
    """Yield the jobs with credentials that install what is not hashed."""
    sections = read_tox(tox_ini)
    for name, job in yaml.safe_load(text)["jobs"].items():
        if not has_credentials(job):
            continue
        for step in job["steps"]:
            run = step.get("run", "")
            if COMMAND.search(run) and "--require-hashes" not in run:
                yield f"{name} has credentials and runs: {run}"
            for environment in re.findall(r"tox run -e ([\w-]+)", run):
                if not is_hashed(sections, f"testenv:{environment}"):
                    yield f"{name} has credentials, {environment} installs unhashed"


def is_hashed(sections: dict[str, dict[str, str]], name: str) -> bool:
    """Return whether an environment installs nothing, or nothing without a hash."""
    lines = dependencies(sections, name)
    section = sections[name]
    # What builds the package is installed, too.
    building = sections.get(f"testenv:{section.get('package_env')}", {})
    # uv holds whatever it installs to the hashes of its constraints.
    is_hashed = "UV_CONSTRAINT" in building.get("set_env", "")
    has_none = section.get("package") == "skip"
    return (has_none or is_hashed) and (not lines or "--require-hashes" in lines)


def has_credentials(job: dict[str, Any]) -> bool:
    """Return whether a job may write somewhere, or is told a secret."""
    permissions = job.get("permissions", "write-all")
    is_told = re.search(r"\bsecrets\b", str({**job, "permissions": None}))
    if isinstance(permissions, str):
        return permissions != "read-all" or bool(is_told)
    return "write" in permissions.values() or bool(is_told)


def faults(root: Path) -> Iterator[str]:
    """Yield every fault of a repository, with its file."""
    own = own_distributions(root)
    tox_ini = (root / "tox.ini").read_text()
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True)
    for name in done.stdout.splitlines():
        path = root / name
        if LEFT_OUT.search(name) or not path.is_file():
            continue
        content = path.read_bytes()
        if b"\0" in content:
            continue
        text = content.decode(errors="replace")
        found = list(faults_of_text(text, own))
        if path.suffix == ".py":
            words = [word for word in LITERAL.findall(text) if is_by_name(word, own)]
            found += [f"{word} has no hash" for word in words if HASHED not in word]
        if path.suffix in (".txt", ".in"):
            found += faults_of_requirements(text, own)
        if name == "tox.ini":
            found += faults_of_tox(text, own)
        if name.startswith(".github/workflows/"):
            found += faults_of_workflow(text, tox_ini)
        yield from (f"{name}: {fault}" for fault in found)


def main(root: Path) -> int:
    """Print every fault; return the exit code."""
    found = list(faults(root))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(exit_code("installs", lambda: main(Path()), {}))
