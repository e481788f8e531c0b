"""The catalogue is a promise to every stored event: names, owners and payloads stay as they were."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.events.catalogue import CATALOGUE, dataschema, decode, encode, unknown_schema
from libs.common.events.replica import ReplicaFact
from libs.common.events.traffic import EndpointsWithdrawn
from libs.common.state.aggregates import AGGREGATES
from tests.support.golden_facts import GOLDEN, ROSTER
from tests.support.strategies import facts

FOLDER = Path(__file__).parent / "golden"

OWNERS = [
    # event type, aggregate, writer
    ("NameClaimed", "name", "api"),
    ("NameReleased", "name", "api"),
    ("ProjectCreated", "project", "api"),
    ("ProjectRenamed", "project", "api"),
    ("ProjectClosed", "project", "api"),
    ("ProjectDeleted", "project", "api"),
    ("DeploymentCreated", "deployment", "api"),
    ("SpecRegistered", "deployment", "api"),
    ("DeploymentDeleted", "deployment", "api"),
    ("SpecApplied", "rollout", "reconciler"),
    ("SpecHealthy", "rollout", "reconciler"),
    ("SpecFailed", "rollout", "reconciler"),
    ("RolloutProgressed", "rollout", "reconciler"),
    ("ReplicasRetiring", "rollout", "reconciler"),
    ("ReplicasMoving", "rollout", "reconciler"),
    ("WorkloadRemoved", "rollout", "reconciler"),
    ("ReplicaStarted", "replica", "health"),
    ("ReplicaBecameReady", "replica", "health"),
    ("ReplicaBecameUnready", "replica", "health"),
    ("ReplicaCondemned", "replica", "health"),
    ("ReplicaRestarted", "replica", "health"),
    ("ReplicaStopped", "replica", "health"),
    ("RosterRecorded", "replica", "health"),
    ("EndpointsWithdrawn", "traffic", "router"),
    ("RouterJoined", "router", "router"),
    ("RouterLeft", "router", "router"),
    ("RouterNamed", "router", "router"),
    ("ReplicasDecided", "scaling", "autoscaler"),
]


def test_every_fact_has_exactly_one_owner():
    owners = [(fact.event_type(), kind.name, kind.writer) for kind in AGGREGATES for fact in kind.facts]
    assert owners == OWNERS
    assert {name for name, _, _ in owners} == CATALOGUE.keys()


def test_a_kind_of_aggregate_has_one_entry():
    names = [kind.name for kind in AGGREGATES]
    assert len(names) == len(set(names))


def test_every_published_version_has_a_golden_file_and_no_file_is_left_over():
    published = {
        f"{name}.v{version}.json"
        for name, fact in CATALOGUE.items()
        for version in (*fact.earlier_versions, fact.version)
    }
    assert {path.name for path in FOLDER.iterdir()} == published


@pytest.mark.parametrize("name", CATALOGUE)
def test_golden_file_is_what_encode_gives(name):
    golden = (FOLDER / f"{name}.v{CATALOGUE[name].version}.json").read_bytes()
    assert encode(GOLDEN[name]) + b"\n" == golden


@pytest.mark.parametrize("name", CATALOGUE)
def test_golden_file_decodes_to_its_fact(name):
    golden = (FOLDER / f"{name}.v{CATALOGUE[name].version}.json").read_bytes()
    raw, fact = decode(name, golden)
    assert raw == json.loads(golden)
    assert fact == GOLDEN[name]


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_field_that_a_later_version_adds_is_ignored(name):
    golden = json.loads((FOLDER / f"{name}.v{CATALOGUE[name].version}.json").read_bytes())
    _, fact = decode(name, json.dumps(golden | {"added_later": {"by": 2}}).encode())
    assert fact == GOLDEN[name]


EARLIER = [(name, version) for name, fact in CATALOGUE.items() for version in fact.earlier_versions]


@pytest.mark.parametrize(("name", "version"), EARLIER)
def test_golden_files_of_earlier_versions_are_read(name: str, version: int) -> None:
    """The replica's line of the whole roster that version 1 had is the replica of version 2. A withdrawal of
    version 1 is the first router's."""
    golden = (FOLDER / f"{name}.v{version}.json").read_bytes()
    raw, fact = decode(name, golden)
    assert raw == json.loads(golden)
    if isinstance(fact, ReplicaFact):
        roster = tuple(replica.model_copy(update={"slot": 0}) for replica in ROSTER)
        assert fact == GOLDEN[name].model_copy(update={"roster": roster})
    else:
        assert isinstance(fact, EndpointsWithdrawn)
        assert "router" not in raw
        assert fact == GOLDEN[name]
    assert unknown_schema(name, f"urn:specstream:event:{name}:v{version}") == ""


def test_dataschema_names_the_event_and_its_version():
    assert dataschema(CATALOGUE["SpecRegistered"]) == "urn:specstream:event:SpecRegistered:v1"


@given(fact=facts())
def test_any_fact_survives_its_encoding(fact):
    assert decode(fact.event_type(), encode(fact))[1] == fact


@pytest.mark.parametrize(
    ("event_type", "data", "raw"),
    [
        pytest.param("NotInventedYet", b'{"a": 1}', {"a": 1}, id="an unknown type keeps its payload"),
        pytest.param("NameClaimed", b'{"a": 1}', {"a": 1}, id="a payload that lacks fields is no fact"),
        pytest.param("NameClaimed", b"[1]", {}, id="a list is no payload"),
        pytest.param("NameClaimed", b"{", {}, id="broken JSON is no payload"),
        pytest.param("NameClaimed", b"\xff\xfe\xff", {}, id="broken text is no payload"),
        pytest.param("NameClaimed", b"[" * 100_000, {}, id="a bottomless payload is no payload"),
    ],
)
def test_decode_never_fails_and_says_that_it_does_not_know(event_type, data, raw):
    assert decode(event_type, data) == (raw, None)


@given(event_type=st.sampled_from(list(CATALOGUE)), data=st.binary(max_size=50))
def test_decode_takes_any_bytes(event_type, data):
    decode(event_type, data)
