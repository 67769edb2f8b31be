import json
from pathlib import Path

import pytest

import iris_model
from iris_model.artefact import Manifest, digest_manifest, dump_pipeline, load_pipeline
from iris_model.errors import ArtefactMismatch


def flip_a_bit(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def change_manifest(folder: Path, **fields: object) -> None:
    """Change fields and state the right digest, as a careful forger would."""
    path = folder / "manifest.json"
    manifest = {**json.loads(path.read_text()), **fields}
    manifest["digest"] = digest_manifest(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("face", ["model.onnx", "pipeline.joblib"])
@pytest.mark.parametrize("place", [0, 100, -1])
def test_load_refuses_when_a_bit_of_a_face_is_flipped(
    artefact: Path, face: str, place: int
) -> None:
    flip_a_bit(artefact / face, place)
    with pytest.raises(ArtefactMismatch, match=f"sha256 of {face}"):
        iris_model.load(artefact)


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "pipeline.joblib"])
def test_load_refuses_when_a_file_is_missing(artefact: Path, name: str) -> None:
    (artefact / name).unlink()
    with pytest.raises(ArtefactMismatch, match=f"file {name}"):
        iris_model.load(artefact)


@pytest.mark.parametrize("place", range(5, 400, 13))
def test_load_refuses_when_a_bit_of_the_manifest_is_flipped(
    artefact: Path, place: int
) -> None:
    flip_a_bit(artefact / "manifest.json", place)
    with pytest.raises(ArtefactMismatch):
        iris_model.load(artefact)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"format": 1}, "format of manifest.json: expected 2 or 3, found 1"),
        ({"surprise": 1}, "surprise"),
        ({"seed": "1936"}, "seed"),
        ({"model_version": "9.9.9"}, "model version"),
        ({"faces": {}}, "a face model.onnx"),
    ],
)
def test_load_refuses_when_the_manifest_is_of_another_kind(
    artefact: Path, fields: dict[str, object], says: str
) -> None:
    change_manifest(artefact, **fields)
    with pytest.raises(ArtefactMismatch, match=says):
        iris_model.load(artefact)


@pytest.mark.parametrize(
    "field", sorted(set(Manifest.__dataclass_fields__) - {"digest"})
)
def test_load_refuses_when_the_manifest_is_not_complete(
    artefact: Path, field: str
) -> None:
    path = artefact / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest[field]
    manifest["digest"] = digest_manifest(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtefactMismatch, match=field):
        iris_model.load(artefact)


def test_load_takes_a_manifest_of_format_2_when_it_has_no_reference(
    artefact: Path,
) -> None:
    path = artefact / "manifest.json"
    manifest = {**json.loads(path.read_text()), "format": 2}
    del manifest["reference"]
    manifest["digest"] = digest_manifest(manifest)
    path.write_text(json.dumps(manifest))
    model = iris_model.load(artefact)
    assert model.manifest.reference is None
    assert model.predict([[5.1, 3.5, 1.4, 0.2]])[0].label == "setosa"


def test_load_refuses_when_a_golden_row_is_answered_differently(artefact: Path) -> None:
    manifest = json.loads((artefact / "manifest.json").read_text())
    golden = manifest["golden_rows"]
    golden[2]["probabilities"][0] += 1e-6
    change_manifest(artefact, golden_rows=golden)
    with pytest.raises(ArtefactMismatch, match="golden row 2"):
        iris_model.load(artefact)


def test_load_refuses_when_the_manifest_is_not_json(artefact: Path) -> None:
    (artefact / "manifest.json").write_bytes(b"\xff[")
    with pytest.raises(ArtefactMismatch, match="expected JSON"):
        iris_model.load(artefact)


def test_pipeline_is_loaded_when_versions_are_those_of_training() -> None:
    pipeline = load_pipeline()
    assert pipeline.classes_.tolist() == ["setosa", "versicolor", "virginica"]


def test_pipeline_is_refused_when_a_library_has_another_version(artefact: Path) -> None:
    manifest = json.loads((artefact / "manifest.json").read_text())
    libraries = {**manifest["libraries"], "scikit-learn": "1.2.3"}
    change_manifest(artefact, libraries=libraries)
    with pytest.raises(ArtefactMismatch) as caught:
        load_pipeline(artefact)
    assert caught.value.expected == "1.2.3"
    assert caught.value.found == manifest["libraries"]["scikit-learn"]
    assert "scikit-learn" in str(caught.value)


def test_pipeline_bytes_are_equal_when_only_the_identity_of_strings_differs() -> None:
    pipeline, other = load_pipeline(), load_pipeline()
    cap = other.named_steps["cap"]
    cap.variables_ = ["".join(list(name)) for name in cap.variables_]
    assert cap.variables_[0] is not pipeline.named_steps["cap"].variables_[0]
    assert dump_pipeline(other) == dump_pipeline(pipeline)
