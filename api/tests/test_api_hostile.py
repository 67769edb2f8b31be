"""Hostile documents: each gets a small problem that gives nothing away."""

from http.client import HTTPException

import pytest
from api_hostile import GOOD, build_documents, build_fragments
from api_naive import serve_naively
from api_oracle import find_broken_promises
from api_server import Kept

DOCUMENTS = build_documents()


@pytest.fixture
def kept(server):
    """A connection of its own."""
    with Kept(server.port) as connection:
        yield connection


def find_broken(connection, documents):
    """Return the documents whose answers break a promise, and which."""
    found = {one.body: find_faults(connection, one) for one in documents}
    return {body[:200]: faults for body, faults in found.items() if faults}


def find_faults(connection, document):
    """Return what is wrong with the answer to a document, and with the next one."""
    faults = []
    try:
        answer = connection.predict(document.body)
        faults += find_broken_promises(document.body, answer, document.secrets)
        if connection.predict(GOOD).status != 200:
            faults.append("the next request is refused")
    except (OSError, HTTPException):
        faults.append("the connection is lost")
        connection.reopen()
    return faults


def test_hostile_documents_are_as_many_as_we_say_when_counted():
    assert len(build_fragments()) >= 500
    bodies = {one.body for documents in DOCUMENTS.values() for one in documents}
    assert len(bodies) >= 3_500


@pytest.mark.parametrize("place", DOCUMENTS)
@pytest.mark.slow(after=1)
def test_hostile_document_gets_a_small_problem_when_in_place(kept, place):
    assert find_broken(kept, DOCUMENTS[place]) == {}


@pytest.mark.slow
def test_naive_server_is_caught_when_it_gets_the_same_documents():
    with serve_naively() as port, Kept(port) as connection:
        broken = find_broken(connection, DOCUMENTS["value"])
    assert {fault for faults in broken.values() for fault in faults} == {
        "200 to what cannot be predicted",
        "500 to what cannot be predicted",
        "an echo",
        "more than 4 KiB",
        "not a problem",
        "the connection is lost",
    }
