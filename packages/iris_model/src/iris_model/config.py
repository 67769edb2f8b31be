"""
Turn ``config.yml`` into frozen values, or into one ConfigError that says where.

The only module that knows strictyaml.
What a step's name means is decided in :mod:`iris_model.features`.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strictyaml import (
    YAML,
    EmptyDict,
    Map,
    MapPattern,
    Optional,
    Regex,
    ScalarValidator,
    Seq,
    StrictYAMLError,
    load,
)

from iris_model.errors import ConfigError

PACKAGED_CONFIG = Path(__file__).parent / "config.yml"

# strictyaml takes quadratic time; a configuration never needs this much.
MAXIMUM_BYTES = 64 * 1024
# strictyaml wraps longer lines before it counts them, and then names wrong ones.
MAXIMUM_COLUMNS = 80

OptionValue = str | int | float | bool | None
Option = OptionValue | list[OptionValue]


@dataclass(frozen=True, slots=True)
class TableConfig:
    """Where the training table lies, its digest and its target column."""

    file: str
    sha256: str
    target: str


@dataclass(frozen=True, slots=True)
class CardConfig:
    """What no table can say of the model: what it is for, and what it is not."""

    purpose: str
    limits: str


@dataclass(frozen=True, slots=True)
class FeatureConfig:
    """A measurement: its column name and its unit."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class StepConfig:
    """
    A transformer or the classifier.

    Attributes
    ----------
    name : str
        Name of the step in the pipeline, unique.
    kind : str
        Class name in feature-engine or scikit-learn.
    options : dict
        Keyword arguments of the class.
    lines : dict
        Line in the file of the class name (key ``""``) and of each option, for
        errors that only show when the step is built.
    """

    name: str
    kind: str
    options: dict[str, Option]
    lines: dict[str, int]


@dataclass(frozen=True, slots=True)
class QualityConfig:
    """What the cross-validated means must reach."""

    minimum_accuracy: float
    minimum_macro_f1: float
    maximum_log_loss: float


@dataclass(frozen=True, slots=True)
class Config:
    """All of ``config.yml``; ``sha256`` is the digest of its bytes."""

    file: Path
    sha256: str
    card: CardConfig | None
    table: TableConfig
    features: tuple[FeatureConfig, ...]
    steps: tuple[StepConfig, ...]
    classifier: StepConfig
    seed: int
    folds: int
    repeats: int
    quality: QualityConfig

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features in the order of the file."""
        return tuple(feature.name for feature in self.features)


class _Number(ScalarValidator):
    """A finite number within bounds; strictyaml's own Float takes nan and inf."""

    def __init__(self, lowest: float, highest: float, whole: bool = False) -> None:
        self._lowest, self._highest, self._whole = lowest, highest, whole

    def validate_scalar(self, chunk: Any) -> float:
        kind = "a whole number" if self._whole else "a number"
        wanted = f"when expecting {kind} from {self._lowest:g} to {self._highest:g}"
        try:
            value = int(chunk.contents) if self._whole else float(chunk.contents)
        except ValueError:
            value = math.nan
        if not self._lowest <= value <= self._highest:
            chunk.expecting_but_found(wanted)
        return value


class _OptionScalar(ScalarValidator):
    """true, false, null, a whole number, a finite number, or else text."""

    WORDS = {"true": True, "false": False, "null": None}

    def validate_scalar(self, chunk: Any) -> OptionValue:
        text = str(chunk.contents)
        if text in self.WORDS:
            return self.WORDS[text]
        if re.fullmatch(r"[+-]?\d{1,18}", text):
            return int(text)
        if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
            if not math.isfinite(float(text)):
                chunk.expecting_but_found("when expecting a finite number")
            return float(text)
        if text.lstrip("+-.").lower() in {"nan", "inf", "infinity"}:
            chunk.expecting_but_found("when expecting a finite number")
        return text


_NAME = Regex(r"[a-z][a-z0-9_]{0,63}")
_CLASS = Regex(r"[A-Z][A-Za-z0-9]{0,63}")
_OPTIONS = EmptyDict() | MapPattern(
    Regex(r"[A-Za-z_][A-Za-z0-9_]{0,63}"), Seq(_OptionScalar()) | _OptionScalar()
)
_SHARE = _Number(0.0, 1.0)
_TEXT = Regex(r"\S(.|\n){0,999}")
_SCHEMA = Map(
    {
        # Published configurations up to 1.1.0 have no card and are still read, to
        # be compared with; train() asks for one.
        Optional("card"): Map({"purpose": _TEXT, "limits": _TEXT}),
        "table": Map(
            {
                "file": Regex(r"[A-Za-z0-9_-]+\.csv"),
                "sha256": Regex(r"[0-9a-f]{64}"),
                "target": _NAME,
            }
        ),
        "features": Seq(Map({"name": _NAME, "unit": Regex(r"\S{1,16}")})),
        "steps": EmptyDict()
        | Seq(
            Map(
                {
                    "name": _NAME,
                    "transformer": _CLASS,
                    Optional("options"): _OPTIONS,
                }
            )
        ),
        "classifier": Map({"name": _CLASS, Optional("options"): _OPTIONS}),
        "seed": _Number(0, 2**32 - 1, whole=True),
        "cross_validation": Map(
            {
                "folds": _Number(2, 100, whole=True),
                "repeats": _Number(1, 1000, whole=True),
            }
        ),
        "quality": Map(
            {
                "minimum_accuracy": _SHARE,
                "minimum_macro_f1": _SHARE,
                "maximum_log_loss": _Number(0.0, 100.0),
            }
        ),
    }
)


def load_config(path: Path = PACKAGED_CONFIG) -> Config:
    """
    Read a configuration file.

    Parameters
    ----------
    path : Path
        A YAML file as described in this package's README; the packaged one
        when left out.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        If the file cannot be read or is not a valid configuration.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise ConfigError(str(path), 1, "(file)", reason) from None
    return parse_config(content, path)


def parse_config(content: bytes, path: Path) -> Config:
    """
    Turn the bytes of a configuration file into a Config.

    Parameters
    ----------
    content : bytes
        Anything; what is not a valid configuration is refused.
    path : Path
        Named in errors; the table lies in ``datasets/`` beside it.

    Raises
    ------
    ConfigError
        With the line and the key, whatever the bytes.
    """
    document = _parse_yaml(content, path)
    config = _to_config(document, content, path)
    _check_names(config, document)
    return config


def _parse_yaml(content: bytes, path: Path) -> YAML:
    if len(content) > MAXIMUM_BYTES:
        reason = f"{len(content)} bytes; at most {MAXIMUM_BYTES} are allowed"
        raise ConfigError(str(path), 1, "(file)", reason)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(str(path), line, "(file)", "not UTF-8 text") from None
    for number, content_line in enumerate(text.splitlines(), start=1):
        is_comment = content_line.lstrip().startswith("#")
        if len(content_line) > MAXIMUM_COLUMNS and not is_comment:
            reason = f"line is longer than {MAXIMUM_COLUMNS} characters; fold it with >"
            raise ConfigError(str(path), number, _key_at(text, number), reason)
    try:
        return load(text, _SCHEMA)
    except StrictYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(str(path), line, _key_at(text, line), reason) from None
    except Exception:
        # strictyaml leaks ValueError, AttributeError and RecursionError on some
        # texts; to the reader they all mean the same.
        raise ConfigError(str(path), 1, "(file)", "not readable as YAML") from None


def _key_at(text: str, line: int) -> str:
    """Return the nearest key at or above a line, as a person would name it."""
    for candidate in reversed(text.splitlines()[:line]):
        match = re.match(r"\s*(?:- )?([A-Za-z_][A-Za-z0-9_]*)\s*:", candidate)
        if match:
            return match.group(1)
    return "(file)"


def _to_config(document: YAML, content: bytes, path: Path) -> Config:
    data = document.data
    steps = [
        _to_step(entry, "transformer", str(entry["name"]))
        for entry in (document["steps"] if data["steps"] else ())
    ]
    return Config(
        file=path,
        sha256=hashlib.sha256(content).hexdigest(),
        card=_to_card(data["card"]) if "card" in data else None,
        table=TableConfig(**data["table"]),
        features=tuple(FeatureConfig(**entry) for entry in data["features"]),
        steps=tuple(steps),
        classifier=_to_step(document["classifier"], "name", "classify"),
        seed=data["seed"],
        folds=data["cross_validation"]["folds"],
        repeats=data["cross_validation"]["repeats"],
        quality=QualityConfig(**data["quality"]),
    )


def _to_card(card: dict[str, str]) -> CardConfig:
    return CardConfig(
        " ".join(card["purpose"].split()), " ".join(card["limits"].split())
    )


def _to_step(entry: YAML, kind_key: str, name: str) -> StepConfig:
    options = dict(entry.data.get("options") or {})
    lines = {option: entry["options"][option].start_line for option in options}
    lines[""] = entry[kind_key].start_line
    return StepConfig(name, str(entry.data[kind_key]), options, lines)


def _check_names(config: Config, document: YAML) -> None:
    """Refuse names that occur twice; strictyaml only sees repeated keys."""
    groups = [("features", list(config.feature_names) + [config.table.target])]
    groups.append(("steps", [step.name for step in config.steps] + ["classify"]))
    for key, names in groups:
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            line = document[key].start_line
            reason = f"the name {twice!r} occurs twice"
            raise ConfigError(str(config.file), line, key, reason)
