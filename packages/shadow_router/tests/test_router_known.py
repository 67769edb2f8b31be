"""Known discrepancies: told apart until a day is over, and never a gate's business."""

import json
import os
import re
import subprocess
import sys
from datetime import date

import pytest
from test_router_judging import fill, verdict

from shadow_router.errors import KnownInvalid
from shadow_router.findings.known import (
    FILE_NAME,
    Known,
    KnownList,
    Seen,
    add_known,
    known_by,
    load_known,
)
from shadow_router.values import Fate

TODAY, LAST = date(2026, 6, 30), date(2026, 7, 1)
FLIP = Seen(Fate.LABEL_FLIP, "a", "b", "")
BREAK = Seen(Fate.CONTRACT_BREAK, "", "", "row 0: class a is missing")


def run_command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "shadow_router", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


def entry(**fields):
    return Known(**{"fate": "label_flip", "reason": "seen", "expires": LAST} | fields)


@pytest.mark.parametrize(
    ("fields", "seen", "is_known"),
    [
        ({}, FLIP, True),
        ({}, BREAK, False),
        ({"live": "a", "shadow": "b"}, FLIP, True),
        ({"live": "b"}, FLIP, False),
        ({"shadow": "a"}, FLIP, False),
        ({"fate": "contract_break", "detail": BREAK.detail}, BREAK, True),
        ({"fate": "contract_break", "detail": "row 0"}, BREAK, False),
    ],
)
def test_discrepancy_is_known_when_all_that_an_entry_names_fits(fields, seen, is_known):
    found = known_by(seen, [entry(**fields)], TODAY)
    assert (found is not None) is is_known


def test_entry_holds_through_its_last_day_and_no_longer():
    assert known_by(FLIP, [entry()], LAST) is not None
    assert known_by(FLIP, [entry()], date(2026, 7, 2)) is None


def test_entries_are_read_as_they_were_added(tmp_path):
    assert load_known(tmp_path) == KnownList()
    one, other = entry(), entry(fate="contract_break", detail="ü")
    add_known(tmp_path, one, TODAY)
    add_known(tmp_path, other, TODAY)
    assert load_known(tmp_path) == KnownList((one, other))
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"fate": "match"}, "fate: match is none of"),
        ({"expires": date(2026, 6, 29)}, "expires: 2026-06-29 is over"),
    ],
)
def test_entry_is_refused_when_it_could_explain_nothing(tmp_path, fields, said):
    with pytest.raises(KnownInvalid, match=said):
        add_known(tmp_path, entry(**fields), TODAY)
    assert load_known(tmp_path) == KnownList()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", r"known.jsonl:1: \(line\): "),
        ('{"fate": "label_flip", "expires": "2999-01-01"}', "known.jsonl:1: reason: "),
        ('{"fate": "x", "reason": "r", "expires": "2999-01-01"}', ":2: fate: "),
        ('{"fate": "label_flip", "reason": "r", "expires": "soon"}', ":2: expires: "),
    ],
)
def test_line_that_is_none_is_left_out_and_told_by_line_and_field(tmp_path, line, said):
    good = entry()
    text = f"{good.model_dump_json()}\n{line}\n\n{good.model_dump_json()}"
    (tmp_path / FILE_NAME).write_text(text)
    found = load_known(tmp_path)
    assert found.entries == (good, good)
    assert found.fault.startswith("1 of 4 lines are not read: ")
    assert re.search(said.replace("jsonl:1", "jsonl:2"), found.fault)


@pytest.mark.slow
def test_known_flips_are_listed_apart_and_still_fail(tmp_path):
    fill(tmp_path, count=100, flips=20)
    before = json.loads(verdict(tmp_path, "--json").stdout)
    assert before["known"] == [] and before["discrepancies"][0]["known"] is None
    add_known(tmp_path, entry(live="a", shadow="b", expires=date(2999, 1, 1)), TODAY)
    past = entry(live="a", reason="old")
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write(past.model_dump_json() + "\n")
    done = verdict(tmp_path, "--json")
    assert done.returncode == 1
    bundle = json.loads(done.stdout)
    assert bundle["verdict"] == before["verdict"]
    assert bundle["rules"] == before["rules"]
    assert {item["known"] for item in bundle["discrepancies"]} == {"seen"}
    first, second = bundle["known"]
    assert (first["explains"], first["is_expired"]) == (20, False)
    assert second["reason"] == "old"
    assert "known: 20 of the 20 newest discrepancies" in verdict(tmp_path).stdout


@pytest.mark.slow
def test_command_marks_for_a_running_report(tmp_path):
    fill(tmp_path, count=100, flips=20)
    environment = {"SHADOW_ROUTER_DATA_DIR": str(tmp_path)}
    options = ["--live", "a", "--reason", "seen", "--expires"]
    done = run_command("known", "label_flip", *options, "2999-01-01", **environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(verdict(tmp_path, "--json").stdout)["known"][0]["explains"] == 20
    done = run_command("known", "label_flip", *options, "2001-01-01", **environment)
    assert done.returncode == 78
    assert done.stderr.strip() == "shadow-router: expires: 2001-01-01 is over"
