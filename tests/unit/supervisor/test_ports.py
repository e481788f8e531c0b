import itertools

import pytest

from libs.supervisor.errors import CannotStart
from libs.supervisor.ports import Ports, choose

REMEMBERED = {"api": 8080, "edge": 8081, "nats": 11}
ALL = {"api", "router", "envoy", "nats"}


def chosen(*, fixed=None, remembered=None, living=(), taken=()):
    numbers = itertools.count(100)
    return choose(
        fixed or {"api": 8080, "edge": 8081},
        remembered=REMEMBERED if remembered is None else remembered,
        living=set(living),
        is_free=lambda port: port not in taken,
        pick=lambda: next(numbers),
    )


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        pytest.param({"remembered": {}}, Ports(8080, 8081, 100), id="a first start picks a free one"),
        pytest.param({}, Ports(8080, 8081, 11), id="a later start keeps it"),
        pytest.param({"taken": {11}}, Ports(8080, 8081, 100), id="a kept one that is taken is replaced"),
        pytest.param(
            {"living": ALL, "taken": {8080, 8081, 11}},
            Ports(8080, 8081, 11),
            id="our own programs hold our own ports",
        ),
        pytest.param(
            {"living": {"router"}, "taken": {11}},
            Ports(8080, 8081, 100),
            id="only those whose program lives",
        ),
        pytest.param(
            {"remembered": REMEMBERED | {"nats": 8080}},
            Ports(8080, 8081, 100),
            id="a kept one that is now given to the api is replaced",
        ),
        pytest.param({"remembered": {"nats": 0}}, Ports(8080, 8081, 100), id="nonsense is replaced"),
        pytest.param(
            {"remembered": {"nats": 70000}}, Ports(8080, 8081, 100), id="what is no port is replaced"
        ),
        pytest.param(
            {"fixed": {"api": 9090, "edge": 8081}, "living": ALL},
            Ports(9090, 8081, 11),
            id="a changed port is taken up while the old api still lives",
        ),
    ],
)
def test_choice(case, expected):
    assert chosen(**case) == expected


@pytest.mark.parametrize(
    ("case", "said"),
    [
        pytest.param({"taken": {8080}}, ["8080", "SPECSTREAM_API_PORT"], id="the api's"),
        pytest.param({"taken": {8081}}, ["8081", "SPECSTREAM_EDGE_PORT"], id="the endpoints'"),
        pytest.param(
            {"taken": {8080, 8081}},
            ["SPECSTREAM_API_PORT", "SPECSTREAM_EDGE_PORT"],
            id="both are named at once",
        ),
        pytest.param(
            {"taken": {8081}, "living": {"api", "nats", "router"}},
            ["8081"],
            id="Envoy is gone and another came",
        ),
        pytest.param(
            {"fixed": {"api": 9090, "edge": 8081}, "living": ALL, "taken": {8080, 9090}},
            ["9090"],
            id="a changed port is not ours because the old one is",
        ),
    ],
)
def test_a_port_that_is_taken_is_an_error(case, said):
    with pytest.raises(CannotStart) as refusal:
        chosen(**case)
    assert all(word in str(refusal.value) for word in said)


TWO_EDGES = {"api": 8080, "edge": 8081, "edge-2": 8082}


def test_a_further_edge_has_the_port_that_was_given():
    ports = chosen(fixed=TWO_EDGES)
    assert ports == Ports(8080, 8081, 11, (8082,))
    assert ports.edges == (8081, 8082)
    assert ports.by_name == {"api": 8080, "edge": 8081, "nats": 11, "edge-2": 8082}


def test_a_further_edge_has_to_be_free_unless_its_own_envoy_has_it():
    with pytest.raises(CannotStart, match=r"8082.*SPECSTREAM_MORE_EDGE_PORTS"):
        chosen(fixed=TWO_EDGES, taken={8082})
    with pytest.raises(CannotStart, match="8082"):
        chosen(fixed=TWO_EDGES, taken={8082}, living={"envoy"}, remembered={**REMEMBERED, "edge-2": 8082})
    ports = chosen(
        fixed=TWO_EDGES, taken={8082}, living={"envoy-2"}, remembered={**REMEMBERED, "edge-2": 8082}
    )
    assert ports.more_edges == (8082,)


def test_no_other_port_is_picked_that_a_further_edge_has():
    assert chosen(fixed={**TWO_EDGES, "edge-2": 11}).nats == 100
