"""A small disk of a test's own: a real file system that a few bytes fill."""

import contextlib
import ctypes
import os
import subprocess

_CLONE_NEWNS = 0x20000
# Where root is not at hand, `sudo` is, on the machines of CI.
_AS_ROOT = () if os.getuid() == 0 else ("sudo", "-n")


def _leave_the_mounts_of_others():
    """Give this process mounts of its own, which end with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() == 0 and libc.unshare(_CLONE_NEWNS) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)


class Disk:
    """A file system at a path, of so many KiB and so many names."""

    def __init__(self, path, kib=1024, names=1000):
        self.path = path
        self._filler = path / "filler"
        self._options = f"size={kib}k,nr_inodes={names},mode=777"

    def __enter__(self):
        _leave_the_mounts_of_others()
        self.path.mkdir()
        self._run("mount", "-t", "tmpfs", "-o", self._options, "none")
        return self

    def __exit__(self, *_):
        self._run("umount", "--lazy")

    def _run(self, *command):
        subprocess.run([*_AS_ROOT, *command, str(self.path)], check=True)

    def fill(self):
        """Take every block that is left."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def fill_names(self):
        """Take every name that is left."""
        folder = self.path / "names"
        with contextlib.suppress(OSError):
            folder.mkdir()
            for number in range(100_000):
                (folder / str(number)).touch()

    def free(self):
        """Give back what `fill` took."""
        self._filler.unlink()
