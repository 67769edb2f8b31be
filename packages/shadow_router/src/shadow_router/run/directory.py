"""The data directory: where the two processes meet, and who may write to it."""

import errno
import fcntl
import os
from pathlib import Path

from loguru import logger

from shadow_router.errors import (
    DataDirectoryBusy,
    SettingsInvalid,
    ShadowRouterError,
    StoreAway,
)
from shadow_router.files.drafts import create_whole
from shadow_router.files.permissions import is_open_to_others

_SOCKET_NAME = "collector.sock"
_LOCK_NAME = "collector.lock"
#: Of earlier versions, which kept it beside the digests that are made with it.
_OLD_KEY_NAME = "inputs.key"
#: `sun_path` of a Unix socket holds 108 bytes on Linux, 104 elsewhere.
_LONGEST_SOCKET_PATH = 100
#: What a disk says that is full, or has gone bad: nothing that a setting is wrong with.
_OF_THE_DISK = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
)


def fault_of(error: OSError, what: str) -> ShadowRouterError:
    """Return the error of ours: one to be tried again if it is the disk's."""
    kind = StoreAway if error.errno in _OF_THE_DISK else SettingsInvalid
    return kind(f"{what}: {error.strerror}")


class DirectoryLock:
    """
    Held by the one collector of a data directory until its process ends.

    Raises
    ------
    DataDirectoryBusy
        If another process holds it.
    SettingsInvalid, StoreAway
        If its file cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / _LOCK_NAME
        try:
            self._file = self._path.open("w")
        except OSError as error:
            raise fault_of(error, f"SHADOW_ROUTER_DATA_DIR: {self._path}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise DataDirectoryBusy(
                f"{directory} already has a collector (SHADOW_ROUTER_DATA_DIR)"
            ) from None

    @property
    def is_in_place(self) -> bool:
        """Return whether the directory is still the one that was locked."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def release(self) -> None:
        """Let another collector have the directory."""
        self._file.close()


def has_collector(directory: Path) -> bool:
    """Return whether a collector runs on the directory now."""
    try:
        with (directory / _LOCK_NAME).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def prepare_directory(directory: Path) -> Path:
    """
    Return the data directory, made if need be, readable by its owner alone.

    Raises
    ------
    SettingsInvalid, StoreAway
        If it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / _OLD_KEY_NAME).unlink(missing_ok=True)
    except OSError as error:
        raise fault_of(error, f"SHADOW_ROUTER_DATA_DIR: {directory}") from None
    return directory


def warn_if_open(directory: Path) -> None:
    """Say in one line if others than its owner have rights on a directory."""
    if is_open_to_others(directory):
        # Not changed: it may be more than ours, and meant so.
        logger.warning(
            "others than its owner may look into {}, where what clients sent is kept; "
            "chmod -R go= {}",
            *(directory, directory),
        )


def make_if_blank(path: Path, content: bytes) -> None:
    """
    Make a file that a start makes for itself, unless it is there.

    A full disk or a power cut may have left one that holds nothing: it is made anew.
    """
    try:
        is_blank = not path.read_bytes().strip(b"\0 \t\r\n")
    except FileNotFoundError:
        pass
    else:
        if not is_blank:
            return
        logger.warning("{} held nothing and is made anew", path)
        path.unlink()
    create_whole(path, content)


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
