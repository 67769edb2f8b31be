"""
Files that are whole from the moment they have their name.

A full disk or a lost power cord in the middle of writing leaves a draft behind, and
the file as it was.
"""

import contextlib
import os
import secrets
from pathlib import Path


def write_draft(path: Path, content: bytes) -> Path:
    """Return a file beside `path`, its owner's alone, that is on the disk."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink()
        raise
    return draft


def create_whole(path: Path, content: bytes) -> None:
    """Make a file for its owner alone; one that is there already stays as it is."""
    draft = write_draft(path, content)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    sync_folder(path.parent)


def replace_whole(path: Path, content: bytes) -> None:
    """Make a file for its owner alone, in the place of one that may be there."""
    os.replace(write_draft(path, content), path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
