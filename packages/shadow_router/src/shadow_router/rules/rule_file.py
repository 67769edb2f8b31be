"""Reading a rule file; the only module that knows strictyaml."""

import re
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from strictyaml import (
    YAML,
    EmptyList,
    Float,
    Map,
    MapPattern,
    Optional,
    Seq,
    Str,
    StrictYAMLError,
    load,
)

from shadow_router.errors import RulesInvalid
from shadow_router.rules.rules import OPEN_INFERENCE, PROFILES, Paths, Rules, Thresholds

# strictyaml takes quadratic time; rules never need this much.
MAXIMUM_BYTES = 64 * 1024

_TEXTS = EmptyList() | Seq(Str())
_SCHEMA = Map(
    {
        "profile": Str(),
        Optional("answers"): Str(),
        Optional("paths"): MapPattern(Str(), Str()),
        Optional("identity"): MapPattern(Str(), Str()),
        Optional("classes"): _TEXTS,
        Optional("mirror"): _TEXTS,
        Optional("thresholds"): MapPattern(Str(), Float()),
        Optional("tolerances"): Seq(
            Map({"field": Str(), Optional("atol"): Float(), Optional("rtol"): Float()})
        ),
        Optional("ignore"): Seq(
            Map({"field": Str(), "reason": Str(), "expires": Str()})
        ),
        Optional("redact"): Map(
            {
                Optional("fields"): _TEXTS,
                Optional("parameters"): _TEXTS,
                Optional("headers"): _TEXTS,
            }
        ),
        Optional("keep_inputs"): Str(),
        Optional("client"): Str(),
        Optional("client_share"): Float(),
        Optional("own_page"): Str(),
        Optional("segments"): Seq(Map({"field": Str(), "edges": Seq(Float())})),
    }
)
_ANSWERS = {"predictions": Paths(), "open-inference": OPEN_INFERENCE}


def load_rules(path: Path, today: date) -> Rules:
    """
    Return the rules of a file.

    Parameters
    ----------
    path : Path
        A strictyaml file of at most 64 KiB.
    today : date
        The day by which ignore rules must not have expired.

    Raises
    ------
    RulesInvalid
        If it cannot be read, is not such a file, or an ignore rule has expired; one
        line that names file, line, field and reason.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RulesInvalid(path, 1, "(file)", str(error.strerror)) from None
    document, text = _parse(content, path)
    try:
        rules = Rules.model_validate(_fields(document.data, document, path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        location = tuple(first["loc"])
        message = str(first["msg"]).removeprefix("Value error, ")
        name = ".".join(map(str, location)) or "(file)"
        raise RulesInvalid(path, _line(document, location), name, message) from None
    for expired in rules.expired_on(today):
        index = rules.ignore.index(expired)
        line = _line(document, ("ignore", index, "expires"))
        reason = f"expired on {expired.expires}; look at it again, or remove it"
        raise RulesInvalid(path, line, f"ignore.{index}.expires", reason)
    return rules


def _parse(content: bytes, path: Path) -> tuple[YAML, str]:
    if len(content) > MAXIMUM_BYTES:
        reason = f"{len(content)} bytes; at most {MAXIMUM_BYTES} are allowed"
        raise RulesInvalid(path, 1, "(file)", reason)
    try:
        text = content.decode("utf-8")
        return load(text, _SCHEMA), text
    except StrictYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        said = " ".join(str(p) for p in (error.context, error.problem) if p)
        reason = " ".join(said.split())
        raise RulesInvalid(path, line, _key_at(text, line), reason) from None
    except Exception:
        # strictyaml leaks ValueError, AttributeError and RecursionError on some
        # texts; to the reader they all mean the same.
        raise RulesInvalid(path, 1, "(file)", "not readable as YAML") from None


def _key_at(text: str, line: int) -> str:
    """Return the nearest key at or above a line, as a person would name it."""
    for candidate in reversed(text.splitlines()[:line]):
        match = re.match(r"\s*(?:- )?([A-Za-z_][A-Za-z0-9_]*)\s*:", candidate)
        if match:
            return match.group(1)
    return "(file)"


def _fields(data: dict[str, Any], document: YAML, path: Path) -> dict[str, Any]:
    """Return the fields of `Rules`, with what profile and answers stand for."""
    fields: dict[str, Any] = _tuples(data)
    kind = fields.pop("answers", "predictions")
    if kind not in _ANSWERS:
        reason = f"must be one of {', '.join(_ANSWERS)}"
        raise RulesInvalid(path, _line(document, ("answers",)), "answers", reason)
    fields["paths"] = _ANSWERS[kind].model_dump() | fields.get("paths", {})
    if kind != "predictions":
        # Services of another protocol have no such document unless the file says so.
        fields.setdefault("identity", {"path": ""})
    thresholds, _ = PROFILES.get(fields["profile"], (Thresholds(), 0.0))
    given = fields.get("thresholds", {})
    if "flips" in given:
        # A segment is judged as the whole is, unless the file says otherwise.
        given = {"segments": given["flips"], **given}
    fields["thresholds"] = thresholds.model_dump() | given
    return fields


def _tuples(value: Any) -> Any:
    # Strict models want tuples where a file has lists.
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _line(document: YAML, location: tuple[int | str, ...]) -> int:
    """Return the line of the innermost place of a location that the file has."""
    node, line = document, 1
    for part in location:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            break
        line = node.start_line
    return int(line)
