"""
Withheld inputs stay withheld: an attack with a published model and every row there is.

Real requests go through a real router. Whatever is stored or shown is read before and
after each of them, and the rows are counted with which all of it could have come about.
"""

import contextlib
import json
import os
import re
import signal
from hashlib import sha256
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iris_candidates import CLASSES, Candidates, published
from pydantic import SecretStr
from router_fakes import FakeServer, answer_bytes
from router_system import wait_until

from shadow_router.compare.inputs import evidence_of
from shadow_router.errors import SettingsInvalid
from shadow_router.processes.collector_process import digest_key
from shadow_router.redaction.rounding import bounds_before_rounding, rounded_distance
from shadow_router.rules.rules import Rules
from shadow_router.settings import Settings
from shadow_router.values import Bounds, Difference, Exchange, Fate, RowDifference
from shadow_router.verdict import gates
from shadow_router.verdict.evidence import Evidence, Tallies
from shadow_router.watch.drift import drift_between
from shadow_router.watch.exposition import parse_sample

LIVE, SHADOW = "1.0.0", "1.1.0"
REQUESTS = 9
RULES = """\
profile: retrain
keep_inputs: {}
segments:
- field: petal_length_cm
  edges:
  - 3
  - 5
"""
README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def candidates():
    return Candidates(published(LIVE), published(SHADOW))


def answering(version):
    """Return a service that answers as the published model does."""

    async def script(arrived, writer):
        row = json.loads(arrived.body)["inputs"][0]
        writer.write(answer_bytes(published(version).answer(row)))
        return True

    return FakeServer(script)


def sent_rows():
    """Return rows of the training table: as clients send them, none twice."""
    table = published(LIVE).table
    rows = [dict(pairs) for pairs in dict.fromkeys(tuple(r.items()) for r in table)]
    return rows[:: len(rows) // REQUESTS][:REQUESTS]


def body_of(row):
    return json.dumps({"inputs": [row]}).encode()


def send(system, row):
    with contextlib.closing(system.client()) as client:
        client.request(
            "POST", "/v1/predict", body_of(row), {"content-type": "application/json"}
        )
        assert client.getresponse().read()


class Seen:
    """Everything that is stored and shown at one moment."""

    def __init__(self, system):
        with system.database() as database:
            names = database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
            database.row_factory = None
            self.tables = {}
            for (name,) in names:
                found = database.execute(f"SELECT * FROM {name}")
                columns = [column[0] for column in found.description]
                self.tables[name] = [dict(zip(columns, r)) for r in found]
        paths = ("/", "/fragment", "/report.json", "/metrics", "/labels/queue")
        shown = [system.private_get(path)[1] for path in paths]
        files = filter(Path.is_file, system.directory.iterdir())
        self.files = {path.name: path.read_bytes() for path in files}
        shown += [content.decode("latin-1") for content in self.files.values()]
        shown += [repr(self.tables), system.log]
        self.text = "\n".join(shown)

    def sums(self, table, *keys):
        """Return numbers by what they count."""
        return {
            tuple(row[key] for key in keys): [
                value for key, value in row.items() if key not in keys
            ]
            for row in self.tables[table]
        }


def told_precisely(text, candidates, place):
    """Return which functions of a row stand in a text."""
    values = {name: values[place] for name, values in candidates.exact.items()}
    for role, answers in (("live", candidates.live), ("shadow", candidates.shadow)):
        values |= {f"{role} {n}": x for n, x in zip(CLASSES, answers[place])}
    values |= {f"{name} squared": value**2 for name, value in values.items()}
    return {
        name: value
        for name, value in values.items()
        # What is next to 0 or 1 may stand anywhere by chance.
        if 1e-3 < value < 0.999 and f"{value:.17f}"[:8] in text
    }


def is_found_by_trying(seen, row, kept, rules):
    """Return whether somebody who has every file can tell a row by its digest."""
    small = [content for content in seen.files.values() if len(content) < 4096]
    keys = [b"", *small, *(word for content in small for word in content.split())]
    keys += [sha256(key).digest() for key in keys]
    exchange = Exchange(
        *("", 0, "POST", b"/v1/predict", (), body_of(row), 200, {}, 0.0, b"")
    )
    difference = Difference(Fate.MATCH, rows=(RowDifference("a", "a"),))
    tried = (evidence_of(exchange, difference, rules, k) for k in keys if len(k) <= 64)
    return any(one.request_digest == kept["input_digest"] for one in tried)


def drift_cells(candidates, row):
    """Return which candidates lie in the cells that the drift panel tells of a row."""
    before, after = (parse_sample(exposition(rows), 0.0) for rows in ([], [row]))
    fits = np.ones(len(candidates.rows), dtype=bool)
    for one in drift_between([before, after], tells_little=True).comparisons:
        edges = [float(cell) for cell in one.reference.cells[:-1]]
        places = np.searchsorted(edges, candidates.column(one.reference.name))
        fits &= places == one.shares.index(1.0)
    return fits


def exposition(rows):
    """Return live's counts in the ten bins of each feature."""
    lines = ["model_reference_rows 150"]
    for feature in published(LIVE).features:
        name, histogram = feature["name"], feature["histogram"]
        shares = np.cumsum(histogram["counts"]) / 150
        values = [row[name] for row in rows]
        for edge, share in zip(histogram["edges"][1:], shares, strict=True):
            labels = f'{{feature="{name}",le="{edge!r}"}}'
            n = sum(value <= edge for value in values)
            lines.append(f"model_feature_reference_ratio{labels} {share}")
            lines.append(f"model_feature_value_bucket{labels} {n}")
        last = f'{{feature="{name}",le="+Inf"}}'
        lines.append(f"model_feature_value_bucket{last} {len(rows)}")
    return "\n".join(lines).encode()


def possible(candidates, row, before, after):
    """Return which candidates fit all that has been stored since, and its own row."""
    old = before.tables["comparisons"]
    (kept,) = [one for one in after.tables["comparisons"] if one not in old]
    fits = candidates.live_label == kept["live_labels"]
    fits &= candidates.shadow_label == kept["shadow_labels"]
    for name in candidates.exact:
        fits &= candidates.fitting(name, kept[name])
    sums = [seen.sums("tallies", "name").get(("distance",)) for seen in (before, after)]
    grown = sums[1][1] - (sums[0][1] if sums[0] else 0.0)
    fits &= candidates.fitting("total_variation", grown)
    segments = [seen.sums("segments", "name") for seen in (before, after)]
    assert any("·" in key[0] for key in segments[1])
    pieces = np.searchsorted([3, 5], candidates.column("petal_length_cm"), "right")
    fits &= pieces == pieces[candidates.place(row)]
    return fits & drift_cells(candidates, row), kept


def attack(system, candidates, rules):
    """Send rows; return for each which candidates it may have been."""
    found = []
    before = Seen(system)
    for row in sent_rows():
        send(system, row)
        system.settled_fates()
        after = Seen(system)
        place = candidates.place(row)
        assert told_precisely(after.text, candidates, place) == {}
        fits, kept = possible(candidates, row, before, after)
        assert fits[place]
        if is_found_by_trying(after, row, kept, rules):
            fits = np.arange(len(fits)) == place
        found.append((place, fits))
        before = after
    return found


def told_in_readme(row):
    """Return the figures of a line of the README's table."""
    line = re.search(rf"^\| {re.escape(row)} \|(.*)\|$", README.read_text(), re.M)[1]
    return [float(cell.replace(",", "").rstrip(" %")) for cell in line.split("|")]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["none", "hash"])
def test_a_hundred_rows_stay_possible_when_inputs_are_withheld(
    start, candidates, policy
):
    text = RULES.format(policy)
    rules = Rules(keep_inputs=policy)
    with answering(LIVE) as live, answering(SHADOW) as shadow:
        system = start(live.url, shadow.url, rules=text)
        found = attack(system, candidates, rules)
    numbers = [int(fits.sum()) for _, fits in found]
    (told,) = told_in_readme("rows of the table's resolution, of 1,387,500")
    assert median(numbers) >= told >= 100, sorted(numbers)


@pytest.mark.slow
def test_much_of_a_redacted_field_stays_possible_when_the_others_are_kept(
    start, candidates
):
    field = "petal_width_cm"
    text = f"profile: retrain\nredact:\n  fields:\n  - {field}\n"
    with answering(LIVE) as live, answering(SHADOW) as shadow:
        system = start(live.url, shadow.url, rules=text)
        before = Seen(system)
        for row in sent_rows()[:5]:
            send(system, row)
        system.settled_fates()
        after = Seen(system)
    assert len(after.tables["comparisons"]) == 5 and not before.tables["comparisons"]
    for row in sent_rows()[:5]:
        assert told_precisely(after.text, candidates, candidates.place(row)) == {}


@pytest.mark.parametrize("field", published(LIVE).names)
def test_values_of_a_redacted_field_are_as_many_as_told(candidates, field):
    kept = (candidates.live_label, candidates.shadow_label)
    kept = (*kept, *candidates.rounded.values())
    places = map(candidates.place, published(LIVE).table)
    numbers = [candidates.alike(kept, place, field) for place in places]
    told, of = told_in_readme(f"values of `{field}` where it alone is redacted")
    assert median(numbers) >= told and of == len(np.unique(candidates.column(field)))


@pytest.mark.slow
def test_an_input_counts_once_when_its_collector_was_started_again(start, live, shadow):
    system = start(live.url, shadow.url, rules="profile: retrain\nkeep_inputs: hash\n")
    # What an earlier version kept beside the digests.
    assert not (system.directory / "inputs.key").exists()
    row = sent_rows()[0]
    send(system, row)
    system.settled_fates()
    os.kill(system.child("collector"), signal.SIGKILL)
    wait_until(lambda: system.private_get("/readyz")[0] == 200)
    send(system, row)
    system.settled_fates()
    assert system.report()["evidence"]["repeats"] == 1


@pytest.mark.slow
def test_key_beside_the_digests_goes_when_an_earlier_version_left_one(
    start, live, shadow, tmp_path
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "inputs.key").write_bytes(b"k" * 32)
    system = start(live.url, shadow.url)
    assert not (system.directory / "inputs.key").exists()


def test_collectors_that_share_a_store_need_a_key_when_rules_redact():
    shared = Settings(store_url="postgresql+psycopg:///shadow")
    kept = shared.model_copy(update={"input_key": SecretStr("s" * 16)})
    withholding = Rules(keep_inputs="none")
    with pytest.raises(SettingsInvalid, match="INPUT_KEY is needed"):
        digest_key(shared, withholding)
    assert digest_key(kept, withholding) == digest_key(kept, withholding)
    assert len(digest_key(shared, Rules())) == 32
    assert digest_key(Settings(), withholding) != digest_key(Settings(), withholding)


@given(st.floats(0, 1), st.floats(0, 1))
def test_distances_are_rounded_up_and_not_by_more_than_the_gate_allows(one, other):
    rounded = [rounded_distance(value) for value in (one, other)]
    mean, truth = sum(rounded) / 2, (one + other) / 2
    assert mean >= truth
    allowed = bounds_before_rounding(Bounds(mean, mean))
    assert allowed.lower <= truth <= allowed.upper
    assert (rounded[0] == 0) == (one == 0)


@pytest.mark.parametrize(
    ("each", "state"),
    [(0.0, "PASS"), (0.01, "PASS"), (0.05, "INCONCLUSIVE"), (0.25, "FAIL")],
)
def test_distance_gate_allows_for_rounding_when_inputs_are_withheld(each, state):
    n = 100_000
    tallies = Tallies(measured=n, distance=n * each, squared_distance=n * each**2)
    gate = gates.distance(Evidence({}, tallies), Rules(keep_inputs="none"), 0.005)
    assert gate.state.value == state
    assert "each rounded up" in gate.parts[0].name
    exact = gates.distance(Evidence({}, tallies), Rules(), 0.005)
    assert exact.state.value == ("FAIL" if each > 0.02 else "PASS")
