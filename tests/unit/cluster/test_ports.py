"""Handing out ports."""

import socket

import pytest

from libs.common.cluster.local.shim.ports import OwnPorts, port_range


@pytest.mark.parametrize(
    ("ephemeral", "expected"),
    [
        pytest.param((32_768, 60_999), (10_240, 32_767), id="below the kernel's own range"),
        pytest.param((1_024, 60_999), (61_000, 65_535), id="above it where below is no room"),
        pytest.param((1_024, 65_535), (10_240, 65_535), id="inside it where there is no room at all"),
    ],
)
def test_port_range(ephemeral, expected):
    assert port_range(ephemeral) == expected


@pytest.fixture
def owners(tmp_path):
    made: list[OwnPorts] = []

    def make(home: str = "home") -> OwnPorts:
        root = tmp_path / home
        root.mkdir(exist_ok=True)
        made.append(OwnPorts(str(root)))
        return made[-1]

    yield make
    for owner in made:
        owner.settle([], {})


def test_every_wanted_port_gets_an_own_one_and_keeps_it(owners):
    owner = owners()
    settled = owner.settle([8000, 9000], {})
    assert set(settled) == {8000, 9000}
    assert len(set(settled.values())) == 2
    assert owner.settle([8000, 9000], settled) == settled


def test_a_port_that_somebody_listens_on_is_exchanged(owners):
    owner = owners()
    settled = owner.settle([8000], {})
    with socket.create_server(("127.0.0.1", settled[8000])):
        assert owner.settle([8000], settled)[8000] != settled[8000]


def test_a_port_is_its_owners_also_before_it_listens_and_for_another_home(owners):
    settled = owners("one").settle([8000], {})
    other = owners("two")
    assert other.settle([8000], settled)[8000] != settled[8000]


def test_a_freed_port_is_not_the_next_one_handed_out(owners):
    first = owners()
    freed = first.settle([8000], {})[8000]
    first.settle([], {})
    assert owners().settle([8000], {})[8000] != freed
