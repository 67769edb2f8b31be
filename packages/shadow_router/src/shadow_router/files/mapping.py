"""
Small files mapped into memory, on blocks that are there.

A store to a mapped page whose block a full disk cannot give ends the process with
SIGBUS. Allocated first, the same disk is an `OSError`, which can be met.
"""

import errno
import mmap
import os

#: What file systems say that know no allocation ahead.
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def map_shared(descriptor: int, size: int) -> mmap.mmap:
    """
    Return the first bytes of an open file as memory, for as long as it is that long.

    Raises
    ------
    OSError
        If the file system has no room for them, or does not let the file grow.
    """
    _allocate(descriptor, size)
    return mmap.mmap(descriptor, size)


def sync(descriptor: int) -> None:
    """Wait until what was written, to memory too, is on the disk."""
    # macOS has no `fdatasync`.
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
            return
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
    # Bytes that are there were written once, and have their blocks.
    there = os.fstat(descriptor).st_size
    while there < size:
        there += os.pwrite(descriptor, bytes(size - there), there)
