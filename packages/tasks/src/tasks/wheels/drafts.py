"""Write a file whole: a draft with a name of its own first, whoever else is writing."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

DRAFT = ".draft"


def place(content: bytes, target: Path) -> None:
    """Write a new file; raise FileExistsError if somebody else was first."""
    with _draft(content, target) as draft:
        os.link(draft, target)  # refuses to replace, unlike rename


def replace(content: bytes, target: Path) -> None:
    """Write a file in the place of another, if there is one."""
    with _draft(content, target) as draft:
        os.replace(draft, target)


@contextlib.contextmanager
def _draft(content: bytes, target: Path) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(DRAFT, f".{target.name}.", target.parent)
    draft = Path(name)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.chmod(0o644)
        yield draft
    except OSError as error:
        # Nobody knows the draft.
        raise OSError(error.errno, error.strerror, str(target)) from None
    finally:
        draft.unlink(missing_ok=True)
