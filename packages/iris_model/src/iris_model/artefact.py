"""
Save and load the trained artefact: two faces and a manifest.

The only module that touches joblib, and that only for training and for
:func:`load_pipeline`; serving reads ``model.onnx`` and never unpickles.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from iris_model import __version__
from iris_model.errors import ArtefactMismatch
from iris_model.reference import Reference
from iris_model.strict import Malformed, Strict

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

TRAINED = Path(__file__).parent / "trained"
MANIFEST = "manifest.json"
MODEL = "model.onnx"
PIPELINE = "pipeline.joblib"

# Raise when an older reader could misread what is written.
FORMAT = 3
# Format 2 is the same without a reference.
READABLE = (2, FORMAT)

# A pickled pipeline is only safe to use with the versions that made it.
PICKLE_LIBRARIES = ("feature-engine", "joblib", "numpy", "pandas", "scikit-learn")
TRAINING_LIBRARIES = (*PICKLE_LIBRARIES, "onnx", "onnxruntime", "scipy", "skl2onnx")

Digest = Annotated[str, r"[0-9a-f]{64}"]


@dataclass(frozen=True)
class Face(Strict):
    """One of the two files: digest and size of its bytes."""

    sha256: Digest
    size_bytes: int


@dataclass(frozen=True)
class Histogram(Strict):
    """Counts of the training table between edges; one edge more than counts."""

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class Feature(Strict):
    """A measurement: unit, range and distribution in the training table."""

    name: str
    unit: str
    minimum: float
    maximum: float
    histogram: Histogram


@dataclass(frozen=True)
class Interval(Strict):
    """Mean and standard deviation of a score over the repeats."""

    mean: float
    standard_deviation: float


@dataclass(frozen=True)
class ClassMetrics(Strict):
    """Precision, recall and F1 of one class over all repeats together."""

    precision: float
    recall: float
    f1: float
    rows: int


@dataclass(frozen=True)
class Metrics(Strict):
    """Cross-validated scores; ``confusion`` is true x predicted, one repeat's mean."""

    folds: int
    repeats: int
    accuracy: Interval
    macro_f1: Interval
    log_loss: Interval
    classes: dict[str, ClassMetrics]
    confusion: list[list[float]]


@dataclass(frozen=True)
class Parity(Strict):
    """How far apart the two faces were at training."""

    rows: int
    labels_differing: int
    largest_difference: float


@dataclass(frozen=True)
class GoldenRow(Strict):
    """A row in feature order, and the probabilities in class order it must give."""

    values: list[float]
    label: str
    probabilities: list[float]


@dataclass(frozen=True)
class Manifest(Strict):
    """
    What an artefact says of itself; ``docs/`` and the API show it to people.

    ``digest`` is the sha256 of all other fields as canonical JSON, so that a
    changed manifest is noticed too.
    """

    format: Literal[2, 3]
    digest: Digest
    model_name: str
    model_version: str
    purpose: str
    limits: str
    faces: dict[str, Face]
    table: str
    table_sha256: Digest
    table_rows: int
    config_sha256: Digest
    source_sha256: Digest
    seed: int
    python: str
    libraries: dict[str, str]
    target: str
    features: list[Feature]
    classes: list[str]
    class_counts: dict[str, int]
    steps: list[str]
    metrics: Metrics
    parity: Parity
    golden_rows: list[GoldenRow]
    reference: Reference | None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features in the order of the model's columns."""
        return tuple(feature.name for feature in self.features)


@dataclass(frozen=True, slots=True)
class Artefact:
    """A manifest and the bytes of the compiled model, checked against each other."""

    manifest: Manifest
    model_bytes: bytes


def digest_bytes(content: bytes) -> str:
    """Return the sha256 of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def digest_manifest(fields: dict[str, object]) -> str:
    """Return the digest of a manifest's fields, its own digest left out."""
    rest = {key: value for key, value in fields.items() if key != "digest"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return digest_bytes(canonical.encode())


def dump_pipeline(pipeline: Pipeline) -> bytes:
    """
    Return a fitted pipeline as joblib bytes; equal pipelines give equal bytes.

    A pickle refers back to a string that is the same object and repeats one that is
    only equal, and which of the two a column name is depends on what the process
    did before. Here equal strings are always referred back to.
    """
    from joblib.numpy_pickle import NumpyPickler

    strings: dict[str, str] = {}

    class CanonicalPickler(NumpyPickler):  # type: ignore[misc]  # joblib is untyped
        """joblib's own, but for the identity of strings."""

        def save(self, obj: object, *arguments: object) -> None:
            if type(obj) is str:
                obj = strings.setdefault(obj, obj)
            super().save(obj, *arguments)

    buffer = io.BytesIO()
    CanonicalPickler(buffer).dump(pipeline)
    return buffer.getvalue()


def library_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the installed version of each distribution, or ``missing``."""
    from importlib import metadata  # costs 4 MB, and only training asks

    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def save_artefact(
    directory: Path, manifest: Manifest, model_bytes: bytes, pipeline_bytes: bytes
) -> None:
    """
    Write the three files; the manifest last, so that half an artefact is none.

    Parameters
    ----------
    directory : Path
        Made if missing; files of an earlier artefact are replaced.
    manifest : Manifest
        Its ``faces`` hold the digests of the bytes.
    model_bytes, pipeline_bytes : bytes
        The compiled model and the joblib pipeline.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MANIFEST).unlink(missing_ok=True)
    (directory / MODEL).write_bytes(model_bytes)
    (directory / PIPELINE).write_bytes(pipeline_bytes)
    text = json.dumps(manifest.model_dump(), indent=1, ensure_ascii=False)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def load_artefact(directory: Path = TRAINED) -> Artefact:
    """
    Read an artefact once and check all of it.

    Parameters
    ----------
    directory : Path
        Holds ``manifest.json``, ``model.onnx`` and ``pipeline.joblib``; that of
        the installed package when left out.

    Raises
    ------
    ArtefactMismatch
        If a file is missing, a digest differs, the manifest is malformed or of
        another format, or the version is not that of this package.
    """
    manifest = _parse_manifest(_read(directory, MANIFEST))
    model_bytes = _read_face(directory, MODEL, manifest)
    _read_face(directory, PIPELINE, manifest)
    return Artefact(manifest, model_bytes)


def load_pipeline(directory: Path = TRAINED) -> Pipeline:
    """
    Return the fitted scikit-learn Pipeline, for study; serving does not need it.

    Parameters
    ----------
    directory : Path
        As for :func:`load_artefact`.

    Raises
    ------
    ArtefactMismatch
        As :func:`load_artefact`, and if a library that the pickle depends on is
        installed in another version than at training; names both versions.
    """
    manifest = _parse_manifest(_read(directory, MANIFEST))
    content = _read_face(directory, PIPELINE, manifest)
    installed = library_versions(PICKLE_LIBRARIES)
    for name in PICKLE_LIBRARIES:
        trained = manifest.libraries.get(name, "missing")
        if installed[name] != trained:
            what = f"version of {name} (install iris_model[train])"
            raise ArtefactMismatch(what, trained, installed[name])
    import joblib

    pipeline: Pipeline = joblib.load(io.BytesIO(content))
    return pipeline


def _read(directory: Path, name: str) -> bytes:
    try:
        return (directory / name).read_bytes()
    except FileNotFoundError:
        hint = "nothing (train with `tox run -e train`, or install a built wheel)"
        raise ArtefactMismatch(f"file {name}", "a file", hint) from None
    except OSError as error:
        found = error.strerror or "an unreadable file"
        raise ArtefactMismatch(f"file {name}", "a readable file", found) from None


def _read_face(directory: Path, name: str, manifest: Manifest) -> bytes:
    content = _read(directory, name)
    if name not in manifest.faces:
        raise ArtefactMismatch(MANIFEST, f"a face {name}", "none")
    expected, found = manifest.faces[name].sha256, digest_bytes(content)
    if found != expected:
        raise ArtefactMismatch(f"sha256 of {name}", expected, found)
    return content


def _parse_manifest(content: bytes) -> Manifest:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        raise ArtefactMismatch(MANIFEST, "JSON", "something else") from None
    found_format = fields.get("format") if isinstance(fields, dict) else None
    if found_format not in READABLE:
        wanted = " or ".join(str(one) for one in READABLE)
        raise ArtefactMismatch(f"format of {MANIFEST}", wanted, str(found_format))
    newer = {"reference": None} if found_format == 2 else {}
    try:
        manifest = Manifest.model_validate({**fields, **newer})
    except Malformed as error:
        where = f"{MANIFEST}, {error.where}"
        raise ArtefactMismatch(where, "valid", error.what) from None
    digest = digest_manifest(fields)
    if digest != manifest.digest:
        raise ArtefactMismatch(f"sha256 of {MANIFEST}", manifest.digest, digest)
    if manifest.model_version != __version__:
        raise ArtefactMismatch("model version", __version__, manifest.model_version)
    return manifest
