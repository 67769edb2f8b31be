"""The data directory: where the two processes meet, and who may write to it."""

import fcntl
import os
import secrets
from pathlib import Path

from loguru import logger

from shadow_router.errors import DataDirectoryBusy, SettingsInvalid
from shadow_router.permissions import is_open_to_others

_SOCKET_NAME = "collector.sock"
_LOCK_NAME = "collector.lock"
_KEY_NAME = "inputs.key"
_KEY_BYTES = 32
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


def warn_if_open(directory: Path) -> None:
    """Say in one line if others than its owner have rights on a directory."""
    if is_open_to_others(directory):
        # Not changed: it may be more than ours, and meant so.
        logger.warning(
            "others than its owner may look into {}, where what clients sent is kept; "
            "chmod -R go= {}",
            *(directory, directory),
        )


def read_key(directory: Path) -> bytes:
    """
    Return the key of the digests of inputs, made by the first who asks.

    Collectors that share a store need the same key: what one input is to one of them
    must be it to all.

    Raises
    ------
    SettingsInvalid
        If it cannot be read or made.
    """
    path = directory / _KEY_NAME
    try:
        try:
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
        else:
            key = secrets.token_bytes(_KEY_BYTES)
            with open(made, "wb") as file:
                file.write(key)
    except OSError as error:
        raise SettingsInvalid(f"{path}: {error.strerror}") from None
    if len(key) != _KEY_BYTES:
        raise SettingsInvalid(f"{path}: {len(key)} bytes instead of {_KEY_BYTES}")
    return key


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
