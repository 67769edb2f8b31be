"""An archive is refused when two installers could see different things in it."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hostile import GOOD, adding, members, packed, plain

from tasks.refusal import Refused
from tasks.wheels.archive import read_members

WHOLE = GOOD.read_bytes()
FIRST = "iris_model/__init__.py"
# Of a local header, and of the end: where the directory begins.
LOCAL, END = struct.Struct("<4s5H3L2H"), struct.Struct("<4s4H2LH")


def special(name: str, mode: int) -> bytes:
    """Return the wheel with a member of a special kind."""
    return packed(members(), plain(name, mode))


def entry(**facts: object) -> bytes:
    """Return the wheel with one more member, about which something is odd."""
    odd = plain("iris_model/x.py")
    for name, value in facts.items():
        setattr(odd, name, value)
    return packed(members(), odd)


def twice() -> bytes:
    """Return the wheel with one name in it twice."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        return packed(members(), plain(FIRST))


def local(change: Callable[[bytearray], object]) -> bytes:
    """Return the wheel with a change of its first local header alone."""
    content = bytearray(WHOLE)
    change(content)
    return bytes(content)


def before_directory(more: bytes) -> bytes:
    """Return the wheel with bytes between its files and its directory."""
    *kept, begins, comment = END.unpack(WHOLE[-END.size :])
    end = END.pack(*kept, begins + len(more), comment)
    return WHOLE[:begins] + more + WHOLE[begins : -END.size] + end


def hidden_file() -> bytes:
    """Return the wheel with a file that its directory does not list."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(plain("iris_model/hidden.py"), b"hostile")
    begins = END.unpack(buffer.getvalue()[-END.size :])[6]
    return before_directory(buffer.getvalue()[:begins])


def streamed() -> bytes:
    """Return an archive whose sizes stand behind each file, not in front of it."""

    class Pipe(io.RawIOBase):
        """Keeps what is written, and cannot go back."""

        kept = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.kept += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for name, data in members().items():
            archive.writestr(plain(name), data)
    return pipe.kept


def repacked(data: bytes, size: int, check: int) -> bytes:
    """Return an archive of one file, with packed bytes and facts of one's own."""
    name = FIRST.encode()
    facts = (20, 0, 8, 0, 33, check, len(data), size, len(name), 0)
    file = LOCAL.pack(b"PK\x03\x04", *facts) + name + data
    said = (b"PK\x01\x02", 20 | 3 << 8, *facts, 0, 0, 0, 0o100644 << 16, 0)
    directory = struct.pack("<4s6H3L5H2L", *said) + name
    sizes = (0, 0, 1, 1, len(directory), len(file), 0)
    return file + directory + END.pack(b"PK\x05\x06", *sizes)


def deflated(data: bytes) -> bytes:
    """Return bytes as they are packed in an archive."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "not_an_archive": (lambda: b"wheel", "something lies before or after"),
    "program_before_it": (lambda: b"#!/bin/sh\n" + WHOLE, "lies before"),
    "program_after_it": (lambda: WHOLE + b"rm -rf ~", "before or after"),
    "archive_before_it": (lambda: WHOLE + WHOLE, "not all that is in the archive"),
    "truncated": (lambda: WHOLE[:-30], "before or after"),
    "absolute": (lambda: adding("/etc/passwd"), "leads out of its folder"),
    "parent": (lambda: adding("iris_model/../../x.py"), "leads out of its folder"),
    "backslash": (lambda: adding("iris_model\\..\\x.py"), "has a character"),
    "drive": (lambda: adding("C:/x.py"), "has a character"),
    "control": (lambda: adding("iris_model/x\n.py"), "has a character"),
    "not_ascii": (lambda: adding("iris_model/ï.py"), "has a character"),
    "folder": (lambda: adding("iris_model/empty/", b""), "or is a folder"),
    "hidden_name": (lambda: adding("iris_model/.x.py"), "is hidden, or ends as"),
    "name_with_a_dot": (lambda: adding("iris_model/x.py."), "is hidden, or ends as"),
    "file_and_folder": (lambda: adding(f"{FIRST}/x.py"), "is a file and a folder"),
    "link": (lambda: special("x.py", stat.S_IFLNK | 0o777), "no plain file of mode"),
    "device": (lambda: special("x", stat.S_IFCHR), "x is no plain file of mode 644"),
    "set_uid": (lambda: special("x", 0o104755), "no plain file of mode 644: 104755"),
    "executable": (lambda: special("x", 0o100755), "of mode 644: 100755"),
    "writable": (lambda: special("x", 0o100666), "of mode 644: 100666"),
    "twice": (twice, f"{FIRST} is in it 2 times"),
    "twice_but_case": (lambda: adding("iris_model/CLI.py"), "cli.py is in it 2 times"),
    "bomb": (
        lambda: adding("iris_model/zeros", bytes(100_000_001)),
        "more than 100,000,000 bytes",
    ),
    "too_many": (
        lambda: packed({f"iris_model/{n}": b"" for n in range(10_001)}),
        "more than 10,000 files",
    ),
    "not_packed": (lambda: entry(compress_type=zipfile.ZIP_STORED), "compress_type"),
    "other_packing": (lambda: entry(compress_type=zipfile.ZIP_BZIP2), "has "),
    "of_windows": (lambda: entry(create_system=0), "create_system 0, not 3"),
    "commented": (lambda: entry(comment=b"hostile"), "has comment b'hostile'"),
    "more_about_it": (lambda: entry(extra=b"up\x01\x00x"), "has extra b'up"),
    "as_text": (lambda: entry(internal_attr=1), "has internal_attr 1"),
    "streamed": (streamed, "has flag_bits 8"),
    "local_name": (
        lambda: local(lambda c: c.__setitem__(slice(30, 40), b"numpy_evil")),
        "not all that is in the archive",
    ),
    "local_size": (lambda: local(lambda c: c.__setitem__(22, 7)), "not all that"),
    "local_time": (lambda: local(lambda c: c.__setitem__(10, 7)), "not all that"),
    "local_encrypted": (lambda: local(lambda c: c.__setitem__(6, 1)), "not all that"),
    "hidden_file": (hidden_file, "its directory is not all that is in the archive"),
    "hidden_bytes": (lambda: before_directory(b"x"), "not all that is in the archive"),
    "bytes_behind_a_file": (
        lambda: repacked(deflated(b"ours") + b"theirs", 4, zlib.crc32(b"ours")),
        "is not what it says",
    ),
    "other_check": (lambda: repacked(deflated(b"ours"), 4, 7), "is not what it says"),
    "longer_than_it_says": (
        lambda: repacked(deflated(b"ours!"), 4, zlib.crc32(b"ours")),
        "is not what it says",
    ),
    "shorter_than_it_says": (
        lambda: repacked(deflated(b"our"), 4, zlib.crc32(b"our")),
        "is not what it says",
    ),
    "unpackable": (lambda: repacked(b"\xff" * 9, 4, 7), "the archive is broken"),
}


def test_archive_is_read_when_it_is_as_hatchling_writes_it() -> None:
    with zipfile.ZipFile(GOOD) as archive:
        names = archive.namelist()
    assert list(read_members(WHOLE)) == names
    assert read_members(repacked(deflated(b"ours"), 4, zlib.crc32(b"ours"))) == {
        FIRST: b"ours"
    }


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archive_is_refused(kind: str) -> None:
    make, says = HOSTILE[kind]
    with pytest.raises(Refused) as caught:
        read_members(make())
    assert says in str(caught.value)


def test_every_flipped_bit_of_a_header_is_refused() -> None:
    begins = END.unpack(WHOLE[-END.size :])[6]
    places = [*range(60), *range(begins, begins + 80), *range(-END.size, 0)]
    # hatchling itself leaves out that its own files are plain ones.
    kind = (begins + 41, 0x80)
    for place, bit in ((p, 1 << b) for p in places for b in range(8)):
        if (place, bit) != kind:
            spoilt = bytearray(WHOLE)
            spoilt[place] ^= bit
            with pytest.raises(Refused):
                read_members(bytes(spoilt))
