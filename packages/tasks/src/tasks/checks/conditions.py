"""Find conditions of workflows that decide nothing, and errors that are hidden."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tasks.arguments import given
from tasks.exit_codes import exit_code

# Each makes the whole of an `a || b` true.
ALWAYS = re.compile(r"true|always\(\)|'[^']+'|-?0*[1-9]\d*(\.\d+)?")
HIDES = re.compile(r"\|\|\s*(true|:|exit 0)\b|;\s*true\s*$|\bset \+e\b", re.M)


def faults(workflow: Path) -> list[str]:
    """Return one line for each fault of a workflow."""
    return [
        f"{workflow}: {text}" for text in _walk(yaml.safe_load(workflow.read_text()))
    ]


def _walk(node: Any) -> Iterator[str]:  # Any: YAML is what it is
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "if" and (why := what_is_wrong(value)):
                yield f"if: {str(value).strip()}: {why}"
            if key == "continue-on-error" and value is not False:
                yield f"continue-on-error: {value}: a red step must be red"
            if key == "run" and HIDES.search(str(value)):
                yield f"run: {str(value).strip()}: hides that a command failed"
            yield from _walk(value)
    elif isinstance(node, list):
        for one in node:
            yield from _walk(one)


def what_is_wrong(condition: object) -> str | None:
    """Return why a condition is always true; None when it decides something."""
    if not isinstance(condition, str):
        return "always true" if condition else None
    if "${{" in condition:
        # Text around an expression makes a string of it, and strings are true.
        inside = re.fullmatch(r"\$\{\{(.*)\}\}", condition, re.S)
        if inside is None or "}}" in inside[1]:
            return "text around an expression is always true"
        condition = inside[1]
    if condition.strip() == "always()":
        return None  # alone it is meant: a job that looks at those before it
    return _always(condition)


def _always(expression: str) -> str | None:
    for part in _split(expression, "||"):
        factors = [one.strip() for one in _split(part, "&&")]
        if all(_is_true(one) for one in factors):
            return f"{part.strip()} is always true"
    return None


def _is_true(factor: str) -> bool:
    if factor.startswith("(") and factor.endswith(")"):
        return _always(factor[1:-1]) is not None
    return ALWAYS.fullmatch(factor) is not None


def _split(expression: str, operator: str) -> list[str]:
    """Split at an operator that is in no quotes and no brackets."""
    parts, depth, is_quoted = [""], 0, False
    at = 0
    while at < len(expression):
        here = expression[at]
        is_quoted ^= here == "'"
        depth += 0 if is_quoted else (here == "(") - (here == ")")
        if not is_quoted and not depth and expression.startswith(operator, at):
            parts.append("")
            at += len(operator)
            continue
        parts[-1] += here
        at += 1
    return parts


def main(folder: Path) -> int:
    """Print every fault; return the exit code."""
    workflows = sorted(folder.glob("*.yml"))
    found = [line for workflow in workflows for line in faults(workflow)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found or not workflows else 0


if __name__ == "__main__":
    sys.exit(exit_code("conditions", lambda: main(Path(*given())), {}))
