"""
Gather what an image is made of besides our code; runs while it is built.

usage: collect.py APP SYSTEM

Python, its standard library, the shared libraries that they and APP ask for, and
certificates. Nothing else of the base gets in: no shell, no package manager.
"""

import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

from install import compile_modules, reset_times

USER = 10001
# Of no use in a service; some would bring pip or a compiler's headers along.
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "config-*", "dist-packages", "ensurepip", "idlelib", "lib2to3",
    "pydoc_data", "site-packages", "sitecustomize.py", "test", "tests", "tkinter",
    "_tkinter*", "_test*", "turtledemo", "venv",
)  # fmt: skip
FILES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/nsswitch.conf", "/etc/ld.so.cache"]
LINKED = re.compile(r"(?:=> )?(/\S+) \(0x")


def main(app: Path, system: Path) -> None:
    """Copy Python, then every library that any of its modules or of APP's wants."""
    python = Path(sys.executable).resolve()
    stdlib = Path(sysconfig.get_path("stdlib"))
    place(python, system)
    shutil.copytree(stdlib, inside(system, stdlib), ignore=LEFT_OUT, symlinks=False)
    modules = [*inside(system, stdlib).rglob("*.so"), *app.rglob("*.so*")]
    libraries = sorted({one for file in [python, *modules] for one in wanted(file)})
    libraries = [path for path in libraries if app not in path.parents]
    for library in libraries:
        place(library, system)
    for name in FILES:
        if Path(name).exists():
            place(Path(name), system)
    lay_out(system, python)
    note_packages([python, stdlib / "os.py", *libraries], system)
    compile_modules(inside(system, stdlib), strip=str(system))
    reset_times(system)
    # Copied with another owner, which is why it is not in the system's folder.
    data = system.with_name("owned") / "data"
    data.mkdir(mode=0o700, parents=True)
    reset_times(data.parent)


def inside(system: Path, path: Path) -> Path:
    """Return where a path of the base lies in the image."""
    return system / path.relative_to("/")


def place(source: Path, system: Path) -> None:
    """Copy one file to the folder that it is really in, under the name it goes by."""
    target = inside(system, source.parent.resolve() / source.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(stat.S_IMODE(source.stat().st_mode) & 0o755)


def wanted(file: Path) -> list[Path]:
    """Return the shared libraries that a binary is linked to, loader included."""
    done = subprocess.run(["ldd", str(file)], capture_output=True, text=True)
    if "not found" in done.stdout:
        raise SystemExit(f"{file} needs what the base does not have:\n{done.stdout}")
    return [Path(path) for path in LINKED.findall(done.stdout)]


def lay_out(system: Path, python: Path) -> None:
    """Make the folders, links and accounts that programs expect."""
    for name in ("lib", "lib64"):
        if Path("/", name).is_symlink() and (system / "usr" / name).exists():
            (system / name).symlink_to(f"usr/{name}")
    link = inside(system, python.with_name("python3"))
    link.symlink_to(python.name)
    (system / "tmp").mkdir()
    (system / "tmp").chmod(0o1777)
    (system / "etc/passwd").write_text(f"app:x:{USER}:{USER}::/data:/nonexistent\n")
    (system / "etc/group").write_text(f"app:x:{USER}:\n")
    probe = system / "usr/local/bin/is_ready.py"
    probe.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("is_ready.py"), probe)


def note_packages(files: list[Path], system: Path) -> None:
    """Keep status and licence of each Debian package a file is of, for scanners."""
    names = sorted({name for file in files for name in owners(file)})
    for name in names:
        said = subprocess.run(
            ["dpkg-query", "--status", name], capture_output=True, text=True, check=True
        )
        status = system / "var/lib/dpkg/status.d" / name
        status.parent.mkdir(parents=True, exist_ok=True)
        status.write_text(said.stdout)
        licence = Path("/usr/share/doc", name, "copyright")
        if licence.exists():
            place(licence, system)


def owners(file: Path) -> list[str]:
    """Return the package that a file came with; none if it was not packaged."""
    real = str(file.resolve())
    # Debian's packages may still know a file by its name before /usr was merged.
    for name in (real, real.removeprefix("/usr")):
        done = subprocess.run(
            ["dpkg-query", "--search", name], capture_output=True, text=True
        )
        if done.returncode == 0:
            return [done.stdout.split(":")[0]]
    return []


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
