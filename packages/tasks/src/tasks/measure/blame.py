"""
Say which pipeline step first differs between live and shadow on the inputs that flip.

Each version's pipeline runs in an environment of its own, made from its pin. The
answer is printed, and kept where the report finds it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from tasks.arguments import given
from tasks.exit_codes import REFUSED, exit_code
from tasks.system.addresses import read
from tasks.system.environments import (
    ENVIRONMENTS,
    REQUIREMENTS,
    CannotStart,
    fill,
    prepare_router,
)
from tasks.system.lineage import end_with_starters
from tasks.wheels.drafts import replace

FOUND = "blame.json"
INDEX = Path("packages/index/iris_model")
#: Numbers closer than this are one number, worked out in another order.
CLOSE = 1e-12

# Of json.loads: a step with its name and columns.
Step = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Parse the command line, run both pipelines, print and keep the answer."""
    parser = argparse.ArgumentParser(prog="tox run -e blame --", description=__doc__)
    default = read("SHADOW_ROUTER_DATA_DIR", ".shadow_router")
    parser.add_argument("--data", type=Path, default=Path(default), metavar="DIR")
    parser.add_argument("--live", default=pin("live"), metavar="VERSION")
    parser.add_argument("--shadow", default=pin("shadow"), metavar="VERSION")
    options = parser.parse_args(arguments)
    rows = read_flips(options.data)
    live = run_steps("live", options.live, rows)
    shadow = run_steps("shadow", options.shadow, rows)
    found = {
        "live": options.live,
        "shadow": options.shadow,
        "inputs": len(rows),
        **compare_steps(live, shadow),
    }
    replace(json.dumps(found).encode() + b"\n", options.data / FOUND)
    print(as_text(found))
    return 0


def pin(role: str) -> str:
    """Return the version of iris_model that a role pins."""
    text = (REQUIREMENTS / f"{role}.txt").read_text()
    found = re.search(r"^iris_model==(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def requirement(version: str) -> str:
    """Return the line that installs a version: by the hash of its pin, or its wheel."""
    for pinned in sorted(REQUIREMENTS.glob("*.txt")):
        pattern = rf"^iris_model=={re.escape(version)} --hash=sha256:(\w{{64}})$"
        if found := re.search(pattern, pinned.read_text(), re.MULTILINE):
            return f"iris_model[train]=={version} --hash=sha256:{found[1]}\n"
    wheel = INDEX / f"iris_model-{version}-py3-none-any.whl"
    if not wheel.is_file():
        raise CannotStart(f"iris_model {version} is neither pinned nor in {INDEX}")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"iris_model[train]=={version} --hash=sha256:{digest}\n"


def read_flips(directory: Path) -> list[dict[str, object]]:
    """Return the sampled inputs on which the labels differ, as the router tells."""
    # An environment of its own: that of a running system must stay as it is.
    command = [str(prepare_router("blame-router") / "shadow-router"), "flips"]
    environment = {**os.environ, "SHADOW_ROUTER_DATA_DIR": str(directory)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise CannotStart(
            "the store cannot be read, see above; --data names a directory"
        )
    rows = [json.loads(line)["input"] for line in done.stdout.splitlines()]
    if not rows:
        raise CannotStart("no label has changed: there is nobody to blame")
    return rows


def run_steps(role: str, version: str, rows: list[dict[str, object]]) -> list[Step]:
    """Return what each step of a version makes of the rows."""
    locked = ENVIRONMENTS / f"blame-{role}.txt"
    locked.parent.mkdir(parents=True, exist_ok=True)
    locked.write_text(requirement(version))
    what = f"{role}: iris_model {version} with its training libraries"
    commands = fill(f"blame-{role}", what, [["-r", str(locked)]])
    script = str(Path(__file__).with_name("pipeline_steps.py"))
    done = subprocess.run(
        [str(commands / "python"), script],
        input=json.dumps(rows),
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise CannotStart(f"iris_model {version} could not run: see above")
    steps: list[Step] = json.loads(done.stdout)
    return steps


def compare_steps(live: list[Step], shadow: list[Step]) -> dict[str, object]:
    """Return the first step that differs, and what is to be said of each."""
    steps = []
    for ours, its in side_by_side(live, shadow):
        said = difference(ours, its)
        name = (ours or its or {})["name"]
        steps.append({"name": name, "differs": bool(said), "said": said or "the same"})
    first = next((step["name"] for step in steps if step["differs"]), None)
    return {"first": first, "steps": steps}


def side_by_side(
    live: list[Step], shadow: list[Step]
) -> Iterator[tuple[Step | None, Step | None]]:
    """Yield steps of the same name as pairs, and those of one version alone."""
    ours, theirs = ([step["name"] for step in side] for side in (live, shadow))
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            yield from zip(live[a:b], shadow[c:d], strict=True)
        else:
            yield from ((step, None) for step in live[a:b])
            yield from ((None, step) for step in shadow[c:d])


def difference(live: Step | None, shadow: Step | None) -> str:
    """Return how one step's outputs differ, or an empty string."""
    if live is None or shadow is None:
        return f"only {'live' if shadow is None else 'the shadow'} has this step"
    ours, its = live["columns"], shadow["columns"]
    if ours.keys() != its.keys():
        missing, extra = sorted(ours.keys() - its.keys()), sorted(
            its.keys() - ours.keys()
        )
        names = [
            *(f"{n} is missing" for n in missing),
            *(f"{n} is extra" for n in extra),
        ]
        return f"columns: {', '.join(names)}"
    apart = {
        name: [abs(a - b) for a, b in zip(ours[name], its[name], strict=True)]
        for name in ours
    }
    name = max(apart, key=lambda column: max(apart[column]))
    largest = max(apart[name])
    if largest <= CLOSE:
        return ""
    inputs = len(apart[name])
    rows = sum(any(apart[c][i] > CLOSE for c in apart) for i in range(inputs))
    return f"up to {largest:.3g} apart, in {name}; on {rows} of {inputs} inputs"


def as_text(found: dict[str, Any]) -> str:
    """Return the answer as a small table."""
    versions = f"{found['live']} and {found['shadow']} on {found['inputs']} flips"
    first = found["first"]
    said = f"the first step that differs is {first}" if first else "no step differs"
    lines = [f"iris_model {versions}: {said}", ""]
    for step in found["steps"]:
        mark = "differs" if step["differs"] else "same"
        lines.append(f"{mark:<9}{step['name']:<24}{step['said']}")
    return "\n".join(lines)


if __name__ == "__main__":
    end_with_starters()
    codes: dict[type[Exception], int] = {CannotStart: REFUSED}
    sys.exit(exit_code("cannot blame", lambda: main(given()), codes))
