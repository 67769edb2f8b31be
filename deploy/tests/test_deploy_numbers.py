"""The runbook's figures are those that the scripts compute."""

import re

import capacity
import numbers_of_the_runbook as numbers
import pytest
import year
from terraform_runs import DEPLOY


@pytest.fixture(scope="module")
def played():
    return year.simulate()


def test_runbook_holds_what_the_scripts_compute():
    for path, text in numbers.written().items():
        assert path.read_text(encoding="utf-8") == text, path


def test_check_says_so_when_the_runbook_is_stale(monkeypatch, tmp_path, capsys):
    stale = tmp_path / "runbook.md"
    text = numbers.RUNBOOK.read_text()
    assert "| **all** |" in text
    stale.write_text(text.replace("| **all** |", "| **sum** |"))
    monkeypatch.setattr(numbers, "RUNBOOK", stale)
    assert numbers.main(["--check"]) == 1
    assert "runbook.md is not what" in capsys.readouterr().err


def test_a_year_is_the_same_each_time(played):
    assert year.simulate() == played


def test_a_year_without_room_answers_fewer(monkeypatch, played):
    monkeypatch.setattr(year, "MAX_TASKS", 2)
    assert sum(year.simulate().errors.values()) > 2 * sum(played.errors.values())


def test_sizes_are_those_of_production():
    text = (DEPLOY / "environments/production/main.tf").read_text()
    for size, role in ((capacity.API, "live"), (capacity.ROUTER, "router")):
        (block,) = re.findall(rf"^    {role} += {{(.*)}}$", text, re.M)
        numbers_in = dict(re.findall(r"(\w+) = (\d+)", block))
        assert int(numbers_in["cpu"]) == 1024 * size.processors
        assert int(numbers_in["memory_mib"]) == 1024 * size.memory_gib
        assert int(numbers_in["min_tasks"]) == size.at_least


def test_tasks_carry_the_load_when_a_zone_fails():
    for rate in (1, 100, 10_000, 100_000):
        n = capacity.tasks(rate, capacity.API_REQUESTS_PER_S, capacity.API)
        one = capacity.API_REQUESTS_PER_S * capacity.VIRTUAL_PROCESSOR
        assert n / 2 * one >= rate


def test_a_year_loses_requests_when_deploys_leave_too_few_tasks(monkeypatch, played):
    assert "deploys" not in played.errors
    monkeypatch.setattr(year, "HEALTHY_SHARE", 0.1)
    assert year.simulate().errors["deploys"] > 0
    assert year.simulate().deploys == played.deploys == 27
