"""A bug in a rule, the comparison or the redaction costs comparisons, and no more."""

import os
import signal

import pytest
from router_system import post, post_many, wait_until

SECRET = "CANARY-77aa"

#: Imported by every Python process that is started; the fault is there while a file is.
PLANTED = """\
import pathlib
from shadow_router.compare import comparisons
from shadow_router.redaction import redaction

def fault(*_):
    {fault}

def plant(owner, name):
    whole = getattr(owner, name)
    def planted(*arguments):
        if pathlib.Path({switch!r}).exists():
            fault()
        return whole(*arguments)
    setattr(owner, name, planted)

plant({owner}, {name!r})
"""
PLACES = {
    "comparison": ("comparisons", "compare"),
    "evidence": ("comparisons", "evidence_of"),
    "redaction": ("redaction.Redactor", "comparison"),
}
FAULTS = {
    "raises": f"raise ValueError({SECRET!r})",
    "recurses": "fault()",
    "allocates": "bytearray(2**46)",
}


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """Return a function that plants a fault, and returns the file to remove it by."""

    def planted(place, fault):
        owner, name = PLACES[place]
        switch = tmp_path / "fault"
        switch.touch()
        text = PLANTED.format(fault=fault, owner=owner, name=name, switch=str(switch))
        (tmp_path / "sitecustomize.py").write_text(text)
        rest = os.environ.get("PYTHONPATH", "")
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{rest}")
        return switch

    return planted


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", PLACES)
def test_faults_of_ours_are_counted_and_reveal_nothing(
    start, live, shadow, plant, place, fault
):
    switch = plant(place, FAULTS[fault])
    system = start(live.url, shadow.url)
    post_many(system, 20)
    assert system.settled_fates() == {"internal_error": 20}
    assert system.report()["verdict"]["state"] == "INVALID"
    switch.unlink()
    post_many(system, 5)
    assert system.settled_fates() == {"internal_error": 20, "match": 5}
    with system.database() as database:
        texts = list(database.iterdump())
    assert not any(SECRET in text for text in texts)
    assert SECRET not in system.log


@pytest.mark.slow
def test_a_loop_without_end_costs_no_client_and_is_accounted_for(
    start, live, shadow, plant
):
    switch = plant("redaction", "\n    while True: pass")
    system = start(live.url, shadow.url)
    client = system.client()
    # Far more than a second answer would take: none of them waits for the loop.
    assert [post(client, number) for number in range(200)] == [200] * 200
    client.close()
    switch.unlink()
    os.kill(system.child("collector"), signal.SIGKILL)
    wait_until(lambda: system.report()["open"] == 0, 20, "the collector's return")
    fates = system.settled_fates()
    assert fates["dropped_crash"] >= 1
    assert sum(fates.values()) == 200
    assert set(fates) <= {"dropped_crash", "match"}
