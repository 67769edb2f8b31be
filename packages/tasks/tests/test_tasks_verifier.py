"""The verifier lets our wheels pass and refuses hostile ones, each for its reason."""

import base64
import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from refusal import Refused
from release_tree import WHEELS
from verifier import check_wheel

NAME = "iris_model-1.2.1-py3-none-any.whl"
INFO = "iris_model-1.2.1.dist-info"
RECORD = f"{INFO}/RECORD"
GOOD = next(path for path in WHEELS if path.name == NAME)
Members = dict[str, bytes]


def members() -> Members:
    """Return the unpacked wheel that is spoilt below."""
    with zipfile.ZipFile(GOOD) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def recorded(files: Members) -> Members:
    """Return members whose RECORD is right: a hostile builder can make one, too."""
    lines = [f"{RECORD},,"]
    for name, data in files.items():
        if name != RECORD:
            raw = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
            lines.append(f"{name},sha256={raw.rstrip(b'=').decode()},{len(data)}")
    return {**files, RECORD: "\n".join(lines).encode() + b"\n"}


def packed(files: Members, more: list[zipfile.ZipInfo] | None = None) -> bytes:
    """Return a wheel of members; those in ``more`` are added as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
        for entry in more or []:
            archive.writestr(entry, b"hostile")
    return buffer.getvalue()


def adding(name: str, data: bytes = b"hostile") -> bytes:
    """Return the wheel with one more file, which RECORD lists."""
    return packed(recorded({**members(), name: data}))


def changing(name: str, old: bytes, new: bytes) -> bytes:
    """Return the wheel with one file changed, and RECORD with it."""
    files = members()
    assert old in files[name]
    return packed(recorded({**files, name: files[name].replace(old, new)}))


def resealed(change: Callable[[dict[str, object]], object]) -> bytes:
    """Return the wheel with a changed manifest whose own digest is right."""
    files = members()
    path = "iris_model/trained/manifest.json"
    manifest = json.loads(files[path])
    change(manifest)
    manifest.pop("digest")
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    manifest["digest"] = hashlib.sha256(canonical.encode()).hexdigest()
    return packed(recorded({**files, path: json.dumps(manifest).encode()}))


def special(name: str, mode: int) -> bytes:
    """Return the wheel with a member of a special kind."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return packed(members(), [entry])


def twice() -> bytes:
    """Return the wheel with one name in it twice."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        return packed(members(), [zipfile.ZipInfo("iris_model/__init__.py")])


def unrecorded(change: Callable[[Members], object]) -> bytes:
    """Return the wheel after a change that RECORD does not know."""
    files = members()
    change(files)
    return packed(files)


def unpacking_to_much() -> bytes:
    """Return the wheel with a small member that becomes a large one."""
    return adding("iris_model/zeros", bytes(100_000_001))


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "not_an_archive": (lambda: b"wheel", "something lies before or after"),
    "program_before_it": (lambda: b"#!/bin/sh\n" + GOOD.read_bytes(), "lies before"),
    "program_after_it": (lambda: GOOD.read_bytes() + b"rm -rf ~", "before or after"),
    "truncated": (lambda: GOOD.read_bytes()[:-30], "before or after"),
    "pth": (lambda: adding("iris_model/x.pth"), "would run at every start"),
    "pth_at_top": (lambda: adding("x.pth"), "would run at every start"),
    "absolute": (lambda: adding("/etc/passwd"), "leads out of its folder"),
    "parent": (lambda: adding("iris_model/../../x.py"), "leads out of its folder"),
    "backslash": (lambda: adding("iris_model\\..\\x.py"), "has a character"),
    "drive": (lambda: adding("C:/x.py"), "has a character"),
    "control": (lambda: adding("iris_model/x\n.py"), "has a character"),
    "folder": (lambda: adding("iris_model/empty/", b""), "or is a folder"),
    "link": (
        lambda: special("iris_model/x.py", stat.S_IFLNK | 0o777),
        "x.py is a link",
    ),
    "device": (lambda: special("iris_model/x", stat.S_IFCHR), "x is a link or another"),
    "twice": (twice, "iris_model/__init__.py is in it 2 times"),
    "twice_but_case": (lambda: adding("iris_model/CLI.py"), "cli.py is in it 2 times"),
    "bomb": (unpacking_to_much, "more than 100,000,000 bytes"),
    "other_package": (lambda: adding("numpy/__init__.py"), "lies outside iris_model"),
    "module_at_top": (lambda: adding("sitecustomize.py"), "lies outside iris_model"),
    "script": (
        lambda: adding("iris_model-1.2.1.data/scripts/pip"),
        "would be installed outside the package",
    ),
    "other_dist_info": (lambda: adding(f"{INFO}/direct_url.json"), "is not a file of"),
    "extension": (lambda: adding("iris_model/fast.so"), "is compiled code"),
    "hidden_extension": (
        lambda: adding("iris_model/data.bin", b"\x7fELF\x02"),
        "is compiled code",
    ),
    "unlisted": (
        lambda: unrecorded(lambda m: m.update({"iris_model/x.py": b"hostile"})),
        "RECORD does not list iris_model/x.py",
    ),
    "gone": (
        lambda: unrecorded(lambda m: m.pop("iris_model/cli.py")),
        "RECORD lists iris_model/cli.py, which is not there",
    ),
    "changed": (
        lambda: unrecorded(lambda m: m.update({"iris_model/cli.py": b"hostile"})),
        "RECORD disagrees with the bytes of iris_model/cli.py",
    ),
    "weak_digest": (
        lambda: unrecorded(
            lambda m: m.update({RECORD: m[RECORD].replace(b"sha256=", b"md5=", 1)})
        ),
        "RECORD disagrees",
    ),
    "listed_twice": (
        lambda: unrecorded(lambda m: m.update({RECORD: m[RECORD] * 2})),
        "RECORD lists a file twice",
    ),
    "no_record": (
        lambda: unrecorded(lambda m: m.pop(RECORD)),
        "RECORD is missing or not text",
    ),
    "other_name": (
        lambda: changing(f"{INFO}/METADATA", b"Name: iris_model", b"Name: numpy"),
        "METADATA is of numpy 1.2.1",
    ),
    "other_version": (
        lambda: changing(f"{INFO}/METADATA", b"Version: 1.2.1", b"Version: 9.9.9"),
        "METADATA is of iris_model 9.9.9",
    ),
    "broken_metadata": (
        lambda: changing(
            f"{INFO}/METADATA", b"Requires-Dist: numpy", b"Requires-Dist:="
        ),
        "METADATA: ",
    ),
    "from_a_url": (
        lambda: changing(
            f"{INFO}/METADATA",
            b"Requires-Dist: numpy<3,>=2.3",
            b"Requires-Dist: numpy @ https://example.org/numpy.whl",
        ),
        "METADATA requires numpy from a URL",
    ),
    "not_pure": (
        lambda: changing(f"{INFO}/WHEEL", b"Purelib: true", b"Purelib: false"),
        "does not say that the package is pure",
    ),
    "other_tag": (
        lambda: changing(f"{INFO}/WHEEL", b"py3-none-any", b"cp311-none-any"),
        "does not say Tag: py3-none-any",
    ),
    "other_command": (
        lambda: changing(f"{INFO}/entry_points.txt", b"= iris_model.", b"= os."),
        "not iris_model",
    ),
    "plugin": (
        lambda: changing(f"{INFO}/entry_points.txt", b"console_scripts", b"pytest11"),
        "entry_points.txt adds to pytest11",
    ),
    "no_artefact": (
        lambda: packed(
            recorded({k: v for k, v in members().items() if "manifest" not in k})
        ),
        "holds no trained artefact",
    ),
    "face_replaced": (
        lambda: adding("iris_model/trained/pipeline.joblib", b"cos\nsystem\n"),
        "its manifest disagrees with the bytes of pipeline.joblib",
    ),
    "face_forgotten": (
        lambda: resealed(lambda m: m["faces"].pop("model.onnx")),
        "does not list the faces",
    ),
    "manifest_edited": (
        lambda: changing("iris_model/trained/manifest.json", b"0.9", b"1.0"),
        "its manifest disagrees with its own digest",
    ),
    "artefact_of_another_version": (
        lambda: resealed(lambda m: m.update(model_version="1.2.0")),
        "its artefact is of iris_model 1.2.0",
    ),
    "config_replaced": (
        lambda: adding("iris_model/config.yml", b"seed: 1\n"),
        "was not trained from its iris_model/config.yml",
    ),
}


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda path: path.name)
def test_published_wheel_passes(wheel: Path) -> None:
    check_wheel(wheel.name, wheel.read_bytes(), trained=True)


def test_repacked_wheel_passes_when_nothing_is_changed() -> None:
    check_wheel(NAME, packed(recorded(members())), trained=True)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_wheel_is_refused(kind: str) -> None:
    make, says = HOSTILE[kind]
    with pytest.raises(Refused) as caught:
        check_wheel(NAME, make(), trained=True)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{NAME} must not be published: ")


@pytest.mark.parametrize(
    ("filename", "says"),
    [
        ("iris_model.whl", "not that of a wheel"),
        ("iris_model-1.2.1-cp311-cp311-linux_x86_64.whl", "its tag is cp311"),
        ("iris_model-1.2.1rc1-py3-none-any.whl", "'1.2.1rc1' is not a version"),
        ("iris_model-1.2.1-1-py3-none-any.whl", "its tag is 1-py3-none-any"),
        ("iris_model-1.2.2-py3-none-any.whl", "lies outside"),
    ],
)
def test_wheel_is_refused_when_its_name_is_not_right(filename: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        check_wheel(filename, GOOD.read_bytes(), trained=True)
