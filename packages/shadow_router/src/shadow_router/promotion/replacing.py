"""Changing several files together: all of them, or none."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from shadow_router.files.drafts import sync_folder, write_draft


@contextlib.contextmanager
def turn(*folders: Path) -> Iterator[None]:
    """Let one change of files in these folders go after another, in any process."""
    with contextlib.ExitStack() as held:
        # In one order, so that nobody waits for somebody who waits.
        for folder in sorted({folder.resolve() for folder in folders}):
            descriptor = os.open(folder, os.O_RDONLY)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def replace_all(contents: Mapping[Path, bytes | None]) -> None:
    """
    Write each file whole, in this order; None removes it. Hold the folders' `turn`.

    Everything, old and new, is on the disk under other names before the first file
    changes: a full disk or a missing permission changes nothing, and putting back what
    was changed before a later step failed needs no room. A process that is killed in
    between leaves the first files new and the others old, each of them whole: order
    them so that this is sound.

    Raises
    ------
    OSError
        If it cannot be done; then the files are as they were.
    """
    for folder in {path.parent for path in contents}:
        _sweep(folder)
    before = {path: _content(path) for path in contents}
    new: dict[Path, Path] = {}
    old: dict[Path, Path] = {}
    done: list[Path] = []
    try:
        for drafts, texts in ((new, contents), (old, before)):
            for path, content in texts.items():
                if content is not None:
                    drafts[path] = _draft(path, content)
        for path in contents:
            done.append(path)
            _put(path, new.get(path))
    except BaseException:
        for path in reversed(done):
            _put(path, old.get(path))
        raise
    finally:
        for draft in (*new.values(), *old.values()):
            draft.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove what a killed process left in a folder; callers hold its `turn`."""
    for draft in folder.glob(".*.draft"):
        draft.unlink()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _draft(path: Path, content: bytes) -> Path:
    draft = write_draft(path, content)
    with contextlib.suppress(FileNotFoundError):
        draft.chmod(path.stat().st_mode & 0o777)
    return draft


def _put(path: Path, draft: Path | None) -> None:
    if draft is None:
        path.unlink(missing_ok=True)
    else:
        os.replace(draft, path)
    sync_folder(path.parent)
