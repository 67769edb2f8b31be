"""The data directory: where the two processes meet, and who may write to it."""

import fcntl
import os
from pathlib import Path

from shadow_router.errors import DataDirectoryBusy, SettingsInvalid

_SOCKET_NAME = "collector.sock"
_LOCK_NAME = "collector.lock"
#: `sun_path` of a Unix socket holds 108 bytes on Linux, 104 elsewhere.
_LONGEST_SOCKET_PATH = 100


class DirectoryLock:
    """
    Held by the one collector of a data directory until its process ends.

    Raises
    ------
    DataDirectoryBusy
        If another process holds it.
    """

    def __init__(self, directory: Path) -> None:
        self._file = (directory / _LOCK_NAME).open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise DataDirectoryBusy(
                f"{directory} already has a collector (SHADOW_ROUTER_DATA_DIR)"
            ) from None

    def release(self) -> None:
        """Let another collector have the directory."""
        self._file.close()


def has_collector(directory: Path) -> bool:
    """Return whether a collector runs on the directory now."""
    if not directory.exists():
        return False
    try:
        DirectoryLock(directory).release()
    except DataDirectoryBusy:
        return True
    return False


def prepare_directory(directory: Path) -> Path:
    """
    Return the data directory, made if need be, readable by its owner alone.

    Raises
    ------
    SettingsInvalid
        If it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsInvalid(
            f"SHADOW_ROUTER_DATA_DIR: {directory}: {error.strerror}"
        ) from None
    return directory


def socket_path(directory: Path) -> Path:
    """
    Return where the two processes meet, by the shorter of two names.

    Raises
    ------
    SettingsInvalid
        If either name is longer than an address of a Unix socket may be.
    """
    given = directory / _SOCKET_NAME
    path = min(given, Path(os.path.relpath(given)), key=lambda p: len(str(p)))
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise SettingsInvalid(
            f"SHADOW_ROUTER_DATA_DIR: {directory} is too long for a Unix socket"
        )
    return path
