"""Subjects and the hash chain: other programs compute them too, so they are pinned by value."""

import hashlib

import pytest

from libs.common.events.envelope import (
    GENESIS,
    Aggregate,
    Draft,
    append_subject,
    chain_hash,
    page_of_subject,
    parse_subject,
    select,
)
from libs.common.events.project import ProjectCreated

PROJECT = Aggregate("default", "project", "default")


def test_a_subject_and_its_parts_are_the_same_thing():
    subject = PROJECT.subject("ProjectCreated")
    assert subject == "events.default.project.default.ProjectCreated"
    assert parse_subject(subject) == (PROJECT, "ProjectCreated")


@pytest.mark.parametrize(
    ("last", "event_type", "page"),
    [
        pytest.param("RosterRecorded-0", "RosterRecorded", 0, id="the first page"),
        pytest.param("RosterRecorded-61", "RosterRecorded", 61, id="another page"),
        pytest.param("RosterRecorded", "RosterRecorded", None, id="no page"),
        pytest.param("RosterRecorded-", "RosterRecorded-", None, id="nothing where a page would be"),
        pytest.param("RosterRecorded-061", "RosterRecorded-061", None, id="a second way to write one"),
        pytest.param("RosterRecorded--1", "RosterRecorded--1", None, id="a page before the first"),
        pytest.param("RosterRecorded-٣", "RosterRecorded-٣", None, id="a digit that is not ASCII"),
        pytest.param("A-B-3", "A-B-3", None, id="more than one dash"),
        pytest.param(f"A-{'9' * 5000}", f"A-{'9' * 5000}", None, id="a page without end"),
    ],
)
def test_the_page_at_the_end_of_a_subject(last: str, event_type: str, page: int | None):
    subject = f"events.default.replica.d.{last}"
    aggregate, found = parse_subject(subject)
    assert (found, page_of_subject(subject)) == (event_type, page)
    assert aggregate.subject(found, page) == subject


@pytest.mark.parametrize("subject", ["events.a.b.c", "events.a.b.c.d.e", "commands.a.b.c.d", ""])
def test_what_is_no_event_subject_is_refused(subject):
    with pytest.raises(ValueError, match=r"subject|values to unpack"):
        parse_subject(subject)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        pytest.param(PROJECT.subject("X"), "append.default.project.default.X", id="an event"),
        pytest.param(PROJECT.filter, "append.default.project.default.>", id="an aggregate's filter"),
        pytest.param(select(kind="rollout"), "append.*.rollout.*.*", id="a filter of events"),
    ],
)
def test_events_are_offered_beside_the_subjects_they_are_stored_under(subject, expected):
    assert append_subject(subject) == expected


@pytest.mark.parametrize("subject", ["commands.a.b.c.d", "append.a.b.c.d", "eventsx.a", ""])
def test_nothing_but_an_event_is_offered(subject):
    with pytest.raises(ValueError, match="not an event subject"):
        append_subject(subject)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param({}, "events.*.*.*.*", id="everything"),
        pytest.param({"project_id": "p"}, "events.p.*.*.*", id="a tenant"),
        pytest.param({"kind": "rollout"}, "events.*.rollout.*.*", id="a kind of aggregate"),
        pytest.param({"aggregate_id": "d"}, "events.*.*.d.*", id="all about one deployment"),
        pytest.param({"event_type": "SpecApplied"}, "events.*.*.*.SpecApplied", id="a type"),
    ],
)
def test_select(arguments, expected):
    assert select(**arguments) == expected


def test_an_aggregates_filter_covers_its_subjects():
    assert PROJECT.filter == "events.default.project.default.>"
    assert PROJECT.subject("ProjectCreated").startswith(PROJECT.filter.removesuffix(">"))


def test_a_draft_is_a_value_that_says_where_it_goes():
    draft = Draft(PROJECT, ProjectCreated(name="default"))
    assert draft == Draft(PROJECT, ProjectCreated(name="default"))
    assert draft.subject == "events.default.project.default.ProjectCreated"


def test_the_first_hash_of_a_chain_is_known():
    subject = "events.default.project.default.ProjectCreated"
    first = chain_hash(GENESIS, subject, "0" * 32, "ProjectCreated", b'{"name":"default"}')
    assert first == "6bca0dbba62b5bff6038cdc5f735541004a3b4fdd27582e24d2164083eb0f1b4"
    assert (
        chain_hash(first, subject, "1" * 32, "ProjectCreated", b"{}")
        == "8cac117051342b4dfb18fcfeb7be4c9b0f3fbf5c23c34f8e9b5f1998b7b64230"
    )


def test_a_hash_is_sha256_over_each_part_with_its_length_before_it():
    parts = [b"previous", b"subject", b"id", b"Type", b"{}"]
    by_hand = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()
    assert chain_hash("previous", "subject", "id", "Type", b"{}") == by_hand


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(("q", "s", "i", "t", b"d"), id="previous hash"),
        pytest.param(("p", "q", "i", "t", b"d"), id="subject"),
        pytest.param(("p", "s", "q", "t", b"d"), id="event id"),
        pytest.param(("p", "s", "i", "q", b"d"), id="type"),
        pytest.param(("p", "s", "i", "t", b"q"), id="data"),
        pytest.param(("ps", "", "i", "t", b"d"), id="parts that run together"),
    ],
)
def test_every_part_changes_the_hash(changed):
    assert chain_hash(*changed) != chain_hash("p", "s", "i", "t", b"d")
