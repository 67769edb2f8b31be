"""The verifier lets our wheels pass and refuses hostile ones, each for its reason."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile import (
    GOOD,
    INFO,
    NAME,
    RECORD,
    adding,
    changing,
    commanding,
    members,
    packed,
    recorded,
    resealed,
    unrecorded,
)
from release_tree import ROOT

from tasks.refusal import Refused
from tasks.wheels.verifier import check_wheel

METADATA = f"{INFO}/METADATA"
COMMANDS = f"{INFO}/entry_points.txt"
PUBLISHED = sorted((ROOT / "packages/index").rglob("*.whl"))
OURS = "[console_scripts]\niris-model = iris_model.cli:main\n"
INDENTED = f"{OURS} [console_scripts]\n pip = iris_model.cli:main\n"
PYTHON = "[console_scripts]\npython = iris_model.cli:main\n"


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "pth": (lambda: adding("iris_model/x.pth"), "would run at every start"),
    "pth_at_top": (lambda: adding("x.pth"), "would run at every start"),
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
        "instead of 'iris_model/x.py,sha256=",
    ),
    "gone": (
        lambda: unrecorded(lambda m: m.pop("iris_model/cli.py")),
        "'iris_model/cli.py,sha256=",
    ),
    "changed": (
        lambda: unrecorded(lambda m: m.update({"iris_model/cli.py": b"hostile"})),
        "RECORD is not the list of the files with their digests: 'iris_model/cli.py",
    ),
    "weak_digest": (
        lambda: unrecorded(
            lambda m: m.update({RECORD: m[RECORD].replace(b"sha256=", b"md5=", 1)})
        ),
        "RECORD is not the list",
    ),
    "listed_twice": (
        lambda: unrecorded(lambda m: m.update({RECORD: m[RECORD] * 2})),
        "instead of ''",
    ),
    "no_record": (
        lambda: unrecorded(lambda m: m.pop(RECORD)),
        "RECORD is missing or not text",
    ),
    "other_name": (
        lambda: changing(METADATA, b"Name: iris_model", b"Name: numpy"),
        "METADATA is of numpy 1.2.1",
    ),
    "other_version": (
        lambda: changing(METADATA, b"Version: 1.2.1", b"Version: 9.9.9"),
        "METADATA is of iris_model 9.9.9",
    ),
    "broken_metadata": (
        lambda: changing(METADATA, b"Requires-Dist: numpy", b"Requires-Dist: ="),
        "METADATA: ",
    ),
    "from_a_url": (
        lambda: changing(
            METADATA,
            b"Requires-Dist: numpy<3,>=2.3",
            b"Requires-Dist: numpy @ https://example.org/numpy.whl",
        ),
        "METADATA requires numpy from a URL",
    ),
    "not_pure": (
        lambda: changing(f"{INFO}/WHEEL", b"Purelib: true", b"Purelib: false"),
        "WHEEL is not as hatchling writes it",
    ),
    "other_tag": (
        lambda: changing(f"{INFO}/WHEEL", b"py3-none-any", b"cp311-none-any"),
        "WHEEL is not as hatchling writes it",
    ),
    "other_command": (
        lambda: changing(COMMANDS, b"= iris_model.", b"= os."),
        "entry_points.txt has more than the command iris-model",
    ),
    "plugin": (
        lambda: changing(COMMANDS, b"console_scripts", b"pytest11"),
        "entry_points.txt has more",
    ),
    "record_of_another_folder": (
        lambda: unrecorded(lambda m: m.update({RECORD: m[RECORD] + b"../x.py,,\n"})),
        "'../x.py,,' instead of ''",
    ),
    "name_twice": (
        lambda: changing(METADATA, b"Summary:", b"Name: numpy\nSummary:"),
        "METADATA has 2 times Name",
    ),
    "version_twice": (
        lambda: changing(METADATA, b"Summary:", b"Version: 1.2.1\nSummary:"),
        "METADATA has 2 times Version",
    ),
    "name_in_small_letters": (
        lambda: changing(METADATA, b"Summary:", b"name: numpy\nSummary:"),
        "METADATA has the field name, which no wheel of ours has",
    ),
    "field_of_strangers": (
        lambda: changing(METADATA, b"Summary:", b"Dynamic: Requires-Dist\nSummary:"),
        "METADATA has the field Dynamic",
    ),
    "folded_field": (
        lambda: changing(METADATA, b"numpy<3,>=2.3", b"numpy<3,\n >=2.3"),
        "METADATA has the line ' >=2.3', which is no field",
    ),
    "return_in_a_field": (
        lambda: changing(METADATA, b"Summary:", b"Summary: x\rName: numpy\nSummary:"),
        "which is no field",
    ),
    "requirement_twice": (
        lambda: changing(
            METADATA,
            b"Requires-Dist: numpy<3,>=2.3",
            b"Requires-Dist: numpy<3,>=2.3\nRequires-Dist: numpy<3,>=2.3",
        ),
        "METADATA says Requires-Dist twice",
    ),
    "build_in_wheel": (
        lambda: changing(f"{INFO}/WHEEL", b"Tag:", b"Build: 999\nTag:"),
        "WHEEL is not as hatchling writes it",
    ),
    "purelib_twice": (
        lambda: changing(f"{INFO}/WHEEL", b"Tag:", b"Root-Is-Purelib: false\nTag:"),
        "WHEEL is not as hatchling writes it",
    ),
    "two_tags": (
        lambda: changing(f"{INFO}/WHEEL", b"Tag:", b"Tag: cp311-none-any\nTag:"),
        "WHEEL is not as hatchling writes it",
    ),
    "indented_section": (lambda: commanding(INDENTED), "entry_points.txt has more"),
    "command_python": (lambda: commanding(PYTHON), "entry_points.txt has more"),
    "command_of_another_folder": (
        lambda: commanding(PYTHON.replace("python", "../../x")),
        "entry_points.txt has more",
    ),
    "second_command": (
        lambda: commanding(f"{OURS}pip = iris_model.cli:main\n"),
        "entry_points.txt has more",
    ),
    "gui_command": (
        lambda: commanding(f"{OURS}\n[gui_scripts]\npip = iris_model.cli:main\n"),
        "entry_points.txt has more",
    ),
    "command_with_extras": (
        lambda: commanding(OURS.replace(":main", ":main [train]")),
        "entry_points.txt has more",
    ),
    "command_behind_a_return": (
        lambda: commanding(f"{OURS}\rpip = iris_model.cli:main\n"),
        "entry_points.txt has more",
    ),
    "no_command_at_all": (lambda: commanding(""), "entry_points.txt has more"),
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


@pytest.mark.parametrize("wheel", PUBLISHED, ids=lambda path: path.name)
def test_published_wheel_passes(wheel: Path) -> None:
    check_wheel(wheel.name, wheel.read_bytes())


def test_repacked_wheel_passes_when_nothing_is_changed() -> None:
    check_wheel(NAME, packed(recorded(members())))


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_wheel_is_refused(kind: str) -> None:
    make, says = HOSTILE[kind]
    with pytest.raises(Refused) as caught:
        check_wheel(NAME, make())
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{NAME} must not be published: ")


@pytest.mark.parametrize(
    ("filename", "says"),
    [
        ("iris_model.whl", "not that of a wheel"),
        ("iris_model-1.2.1-cp311-cp311-linux_x86_64.whl", "its tag is cp311"),
        ("iris_model-1.2.1rc1-py3-none-any.whl", "'1.2.1rc1' is not a version"),
        ("iris_model-1.2.1-999-py3-none-any.whl", "its tag is 999-py3-none-any"),
        ("iris_model-1.2.1-py3-none-any.WHL", "its tag is py3-none-any.WHL"),
        ("iris_model-01.2.1-py3-none-any.whl", "'01.2.1' is not a version"),
        ("Iris_Model-1.2.1-py3-none-any.whl", "'Iris_Model' is not a released unit"),
        ("../iris_model-1.2.1-py3-none-any.whl", "is not a released unit"),
        ("iris_model-1.2.2-py3-none-any.whl", "lies outside"),
    ],
)
def test_wheel_is_refused_when_its_name_is_not_right(filename: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        check_wheel(filename, GOOD.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "arrives"),
    [
        ("indented_section", "bin/pip"),
        ("command_python", "bin/python"),
        ("unlisted", "iris_model/x.py"),
        ("field_of_strangers", "iris_model/__init__.py"),
        ("purelib_twice", "iris_model/__init__.py"),
    ],
)
def test_pip_installs_what_the_verifier_refuses(
    kind: str, arrives: str, tmp_path: Path
) -> None:
    wheel = tmp_path / NAME
    wheel.write_bytes(HOSTILE[kind][0]())
    command = [sys.executable, "-m", "pip", "--isolated", "install", "--quiet"]
    command += ["--no-index", "--no-deps", "--target", str(tmp_path / "there")]
    subprocess.run([*command, str(wheel)], check=True)
    assert (tmp_path / "there" / arrives).exists()
