"""
Alerts: each has a story in which it fires and one in which it does not.

The stories are beside this file and are told by promtool; here they are held against
rules that are spoilt, and the rules against the real system.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import Watched

FOLDER = Path("docker/prometheus")
STORIES = sorted((FOLDER / "tests").glob("*.yml"))
ALERTS = [
    rule
    for group in yaml.safe_load((FOLDER / "rules/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
NAMES = sorted({rule["alert"] for rule in ALERTS})
# Always and never true, whatever is counted.
ALWAYS, NEVER = "vector(1)", "vector(1) > 2"


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool, which Debian's package prometheus brings."""
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def expected(story: Path) -> list[tuple[str, bool]]:
    """Return which alerts a file expects to fire, and which to be silent."""
    return [
        (one["alertname"], bool(one["exp_alerts"]))
        for test in yaml.safe_load(story.read_text())["tests"]
        for one in test["alert_rule_test"]
    ]


def test_configuration_and_rules_are_what_prometheus_reads() -> None:
    done = promtool("check", "config", FOLDER / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS: 2 rule files found" in done.stdout


def test_alerts_fire_and_stay_silent_as_their_stories_say() -> None:
    done = promtool("test", "rules", *STORIES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_alert_has_a_story_for_firing_and_one_for_silence(name: str) -> None:
    told = {fires for story in STORIES for n, fires in expected(story) if n == name}
    assert told == {True, False}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spoilt", [ALWAYS, NEVER])
def test_story_fails_when_its_alert_is_spoilt(
    name: str, spoilt: str, tmp_path: Path
) -> None:
    shutil.copytree(FOLDER / "rules", tmp_path / "rules")
    path = tmp_path / "rules/alerts.yml"
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            if rule["alert"] == name:
                rule |= {"expr": spoilt, "for": "0s"}
    path.write_text(yaml.safe_dump(document))
    (tmp_path / "tests").mkdir()
    (story,) = [one for one in STORIES if name in dict(expected(one))]
    copy = shutil.copy(story, tmp_path / "tests")
    done = promtool("test", "rules", copy)
    assert done.returncode == 1
    assert f"alertname: {name}" in done.stdout + done.stderr


def test_alert_says_in_one_sentence_what_is_wrong() -> None:
    for rule in ALERTS:
        assert rule["annotations"]["summary"].count(".") >= 1
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_document_has_a_section_for_every_alert() -> None:
    text = Path("docs/monitoring.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)` \| (?:page|ticket)", text, re.M)) == NAMES


def test_rules_are_computed_without_an_error_when_the_system_runs(
    watched: Watched,
) -> None:
    rules = [
        rule for group in watched.ask("rules")["groups"] for rule in group["rules"]
    ]
    assert len(rules) == len(ALERTS) + 18
    assert {rule["health"] for rule in rules} == {"ok"}


def test_stories_are_of_metrics_that_the_system_has(watched: Watched) -> None:
    named = {
        re.split(r"[{]", series["series"])[0]
        for story in STORIES
        for test in yaml.safe_load(story.read_text())["tests"]
        for series in test["input_series"]
    }
    known = set(watched.ask("label/__name__/values"))
    assert len(named) > 10
    assert named <= known


def test_alert_fires_for_real_when_the_verdict_is_fail(watched: Watched) -> None:
    assert watched.values('shadow_verdict{gate="overall", state="FAIL"}') == [1]
    firing = 'ALERTS{alertname="ShadowVerdictFail", alertstate="firing"}'
    assert watched.values(firing) == [1]


def test_no_other_alert_fires_when_nothing_is_wrong(watched: Watched) -> None:
    others = 'ALERTS{alertname!="ShadowVerdictFail", alertstate="firing"}'
    assert watched.ask("query", query=others)["result"] == []
