"""
Files on this machine and in object stores, by path or URL, through fsspec.

The only module that touches fsspec: what may be read, and output that is there
whole or not at all.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import fsspec
from dask.utils import natural_sort_key
from fsspec.implementations.local import LocalFileSystem

from iris_model.errors import ScoringFailed
from iris_model.machine import settle

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Editors of some systems write it first; where files were joined, any line has it.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# So many bytes are written before they are sent to the disk and forgotten.
SETTLED_BYTES = 32 << 20

SUFFIXES = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
# What of a folder holds lines; compressed or not.
LINE_SUFFIXES = (".jsonl", ".ndjson", ".log", ".jsonl.gz", ".ndjson.gz", ".log.gz")


@dataclass(frozen=True, slots=True)
class File:
    """A file that a worker opens itself: an absolute path or a URL."""

    url: str

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.url.removeprefix("file://")

    @property
    def format(self) -> str:
        """``csv`` or ``parquet``, by suffix."""
        for suffix, found in SUFFIXES.items():
            if self.url.lower().endswith(suffix):
                return found
        reason = "the name must end in " + ", ".join(SUFFIXES)
        raise ScoringFailed(self.name, reason)

    def size(self) -> int:
        """Return the size in bytes."""
        with reading(self.name):
            files, path = fsspec.core.url_to_fs(self.url)
            return int(files.size(path))

    def read(self, begin: int, end: int) -> bytes:
        """Return bytes; ``begin`` lies in the file, ``end`` may lie behind it."""
        with reading(self.name):
            files, path = fsspec.core.url_to_fs(self.url)
            if isinstance(files, LocalFileSystem):
                with open(path, "rb") as local:
                    local.seek(begin)
                    return local.read(end - begin)
            return bytes(files.cat_file(path, start=begin, end=end))

    def opened(self) -> Any:
        """Return what Arrow reads best: a path here, a file object elsewhere."""
        with reading(self.name):
            files, path = fsspec.core.url_to_fs(self.url)
            if isinstance(files, LocalFileSystem):
                return path
            return files.open(path, "rb")


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn whatever a file system raises into ScoringFailed naming the file."""
    try:
        yield
    except ScoringFailed:
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise ScoringFailed(name, _one_line(reason)) from None
    except Exception as error:
        # File systems raise what their client libraries raise; no base in common.
        reason = _one_line(f"{type(error).__name__}: {error}")
        raise ScoringFailed(name, reason) from None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def find_files(url: str) -> list[File]:
    """
    Return a file, or the files of a folder or a pattern in natural order.

    Raises
    ------
    ScoringFailed
        If there are none, or of several formats.
    """
    listed = _list(url, tuple(SUFFIXES))
    if not listed:
        raise ScoringFailed(url, "holds no CSV or Parquet file")
    if len({file.format for file in listed}) > 1:
        raise ScoringFailed(url, "holds both CSV and Parquet files")
    return listed


def find_line_files(url: str) -> list[File]:
    """
    Return a file of lines, or those of a folder or a pattern in natural order.

    Raises
    ------
    ScoringFailed
        If there are none.
    """
    listed = _list(url, LINE_SUFFIXES)
    if not listed:
        raise ScoringFailed(url, "holds no file of " + ", ".join(LINE_SUFFIXES))
    return listed


def _list(url: str, suffixes: tuple[str, ...]) -> list[File]:
    with reading(url):
        files, path = fsspec.core.url_to_fs(url)
        if any(character in path for character in "*?[") and not files.exists(path):
            found = files.glob(path)
        elif files.isdir(path):
            found = [name for name in files.find(path) if _ends_in(name, suffixes)]
        else:
            files.info(path)  # raises when there is none
            found = [path]
        found = sorted(found, key=natural_sort_key)
        return [File(files.unstrip_protocol(name)) for name in found]


def _ends_in(path: str, suffixes: tuple[str, ...]) -> bool:
    name = path.rsplit("/", 1)[-1]
    return name.lower().endswith(suffixes) and name[0] not in "._"


@contextlib.contextmanager
def open_lines(file: File) -> Iterator[IO[bytes]]:
    """Give a file to read from its beginning, decompressed if its name says so."""
    with (
        reading(file.name),
        fsspec.open(file.url, "rb", compression="infer") as stream,
        # Files of object stores know no readline with a limit.
        io.BufferedReader(stream) as lines,
    ):
        yield lines


def find_target(url: str) -> File:
    """
    Return the file that is to be written.

    Raises
    ------
    ScoringFailed
        If it is there already, or its suffix is of no known format.
    """
    with reading(url):
        files, path = fsspec.core.url_to_fs(url)
        target = File(files.unstrip_protocol(path))
        _ = target.format
        check_absent(files, path, target.name)
    return target


def check_absent(files: Any, path: str, name: str) -> None:
    """Raise ScoringFailed if there is something of this name."""
    files.invalidate_cache()
    if files.exists(path):
        raise ScoringFailed(name, "is there already and is never overwritten")


@contextlib.contextmanager
def whole_file(target: File) -> Iterator[IO[bytes]]:
    """
    Give a file to write that appears under its name only when all went well.

    Parameters
    ----------
    target : File
        Written under a hidden name beside it and renamed, or uploaded in parts
        that become an object when the last one is there.

    Raises
    ------
    ScoringFailed
        If it cannot be written; nothing is left.
    """
    files, path = fsspec.core.url_to_fs(target.url)
    is_local = isinstance(files, LocalFileSystem)
    writing = _whole_local(path) if is_local else _whole_object(files, path)
    try:
        with writing as stream:
            yield stream
            check_absent(files, path, target.name)
    except OSError as error:
        reason = _one_line(error.strerror or str(error))
        raise ScoringFailed(target.name, f"cannot be written: {reason}") from None


class _SettledFile(io.FileIO):
    """
    A file that goes to the disk while it is written, not all of it at the end.

    The memory of the system that held what is on the disk serves for what comes next;
    a large file that took fresh memory would cost several times as much.
    """

    unsettled = 0

    def write(self, content: ReadableBuffer, /) -> int:
        """Write bytes, and wait for the disk now and then."""
        written = super().write(content)
        self.unsettled += written
        if self.unsettled >= SETTLED_BYTES:
            self.unsettled = 0
            settle(self.fileno())
        return written


@contextlib.contextmanager
def _whole_local(path: str) -> Iterator[IO[bytes]]:
    folder, name = os.path.split(path)
    hidden = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(4)}.part")
    with contextlib.ExitStack() as undo:
        stream = io.BufferedWriter(_SettledFile(hidden, "xb"))
        undo.callback(os.unlink, hidden)
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        finally:
            # On a full disk closing fails as well, and closes.
            with contextlib.suppress(OSError):
                stream.close()
        os.rename(hidden, path)
        undo.pop_all()


@contextlib.contextmanager
def _whole_object(files: Any, path: str) -> Iterator[IO[bytes]]:
    stream = files.open(path, "wb", autocommit=False)
    try:
        yield stream
        stream.close()
        stream.commit()
    except BaseException:
        stream.discard()
        with contextlib.suppress(AttributeError):
            stream.closed = True  # else it is uploaded when it is collected
        raise
