"""
Serve the model's mutants to the router's comparison and gates, and write down which are
found, by what, and after how many inputs.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from iris_model import __version__
from shadow_router.compare.comparisons import comparison_of
from shadow_router.findings.summary import Summary, summarise
from shadow_router.rules.rules import PROFILES, Rules
from shadow_router.run.books import RouterBooks, RunState
from shadow_router.store import Batch, Store
from shadow_router.values import Exchange, Fate, Observation
from shadow_router.verdict.parts import State
from tasks.arguments import given
from tasks.exit_codes import exit_code
from tasks.measure.mutants import MUTANTS
from tasks.measure.spoiling import INPUTS, SEED, Answers, Model, answering, draw_traffic

DOCUMENT = Path("docs/mutants.md")
FIRST_LOOK, LOOKS_GROW = 10, 1.5
JUDGED = ("refactor", "retrain")


def looks() -> Iterator[int]:
    """Yield after how many inputs the verdict is looked at."""
    at = float(FIRST_LOOK)
    while at < INPUTS:
        yield round(at)
        at *= LOOKS_GROW
    yield INPUTS


def exchange_of(row: list[float], i: int, answer: Observation) -> Exchange:
    """Return a request for one row with live's answer to it."""
    at_ns = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e9) + i * 10**7
    body = json.dumps({"inputs": [row]}).encode()
    headers = {"content-type": "application/json"}
    sent = (str(i), at_ns, "POST", b"/v1/predict", (), body)
    return Exchange(*sent, 200, headers, 1.0, answer.body)


def exchanges(model: Model) -> list[Exchange]:
    """Return the traffic with live's answers."""
    live = answering(model.classes, model.original)
    rows = model.rows.tolist()
    return [exchange_of(row, i, live(i)) for i, row in enumerate(rows)]


def detect(traffic: list[Exchange], answers: Answers, profile: str) -> str:
    """Return which gate finds a mutant first and when, or why none does."""
    allowed = PROFILES[profile][0]
    # All of it is sent by nobody in particular.
    fields = {"profile": profile, "thresholds": allowed, "client_share": 1.0}
    rules = Rules.model_validate(fields)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.note_rules(rules)
        books = RouterBooks(Path(folder))
        done = 0
        for look in looks():
            batch = []
            for i in range(done, look):
                hand_over(books)
                found = comparison_of(books.router_id, traffic[i], answers(i), rules)
                batch.append(found)
            store.write(Batch(batch))
            done = look
            summary = summarise(Path(folder))
            if summary.verdict.state in (State.FAIL, State.INVALID):
                break
        store.close()
        books.close(RunState.SETTLED)
    return said(summary, done)


def hand_over(books: RouterBooks) -> None:
    """Count a request that a router passes on."""
    books.count_received()
    books.count_queued(0)
    books.count_handed(0)


def said(summary: Summary, done: int) -> str:
    """Return what the last look found, in words for a table."""
    state = summary.verdict.state
    if state in (State.FAIL, State.INVALID):
        gate = next(g for g in summary.verdict.gates if g.state is state)
        mark = "" if state is State.FAIL else " (INVALID)"
        return f"{gate.name}{mark}, {done:,}"
    fates = summary.accounts.fates
    if fates[Fate.MATCH] == done:
        return "not detectable: identical answers"
    differ = done - fates[Fate.MATCH] - fates[Fate.WITHIN_TOLERANCE]
    if not differ:
        return "not detectable: within tolerance"
    return f"not yet: {summary.unique_flips:,} of {done:,} labels change"


# A sentence on each line of the document.
HEAD = "\n".join(
    (
        "# Which defects the router finds",
        "",
        "Made by `tox run -e mutants`; a test holds this page to what it finds.",
        "",
        f"Every mutant is iris_model {__version__} with one defect, "
        "served as the shadow of the unspoilt model.",
        "The real comparison, store and gates judge it; "
        "only the network is left out.",
        f"The traffic is {INPUTS:,} unique inputs: rows of the training table, each "
        f"measurement moved at random (seed {SEED}).",
        f"The verdict is looked at after {FIRST_LOOK} inputs and then whenever there "
        f"are {LOOKS_GROW - 1:.0%} more, so a number may be that much too large.",
        "",
        "A cell names the first of the [gates](verdict.md) that fails, and after how "
        "many unique inputs.",
        "`refactor` promises the same answers, so almost everything is a defect; "
        "`retrain` allows labels to move on 1 % of the inputs.",
        "*Not detectable* says that no answer differs, or none beyond the tolerance.",
        "*Not yet* says that answers differ and no gate had failed by the end: what "
        "the profile allows, or what needs more inputs.",
        "",
        "",
    )
)


def table(names: list[str]) -> str:
    """Return the table of these mutants."""
    model = Model(draw_traffic())
    traffic = exchanges(model)
    lines = ["| mutant | what it does | refactor | retrain |", "|---|---|---|---|"]
    for name in names:
        what, build = MUTANTS[name]
        answers = build(model)
        cells = (detect(traffic, answers, profile) for profile in JUDGED)
        lines.append(f"| {name} | {what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the rows of some mutants, or write the document of all."""
    if names := given():
        print(table(names))
    else:
        DOCUMENT.write_text(HEAD + table(list(MUTANTS)))


if __name__ == "__main__":
    sys.exit(exit_code("mutants", main, {}))
