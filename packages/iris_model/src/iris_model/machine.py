"""What is asked of the system by one call here and by another elsewhere."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return how many cores this process may use, or how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    # macOS keeps no process to some of them.
    return os.cpu_count() or 1


def settle(descriptor: int) -> None:
    """Wait until what was written is on the disk; its memory may serve for others."""
    getattr(os, "fdatasync", os.fsync)(descriptor)
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
