"""Where a replica of this cluster can be, and where none ever is."""

import pytest

from libs.common.cluster.addresses import LOCAL, Addresses


@pytest.mark.parametrize("address", ["127.0.0.1:20001", "127.0.0.2:80", "127.0.0.1:65535"])
def test_a_replica_can_be_there(address: str) -> None:
    assert address in LOCAL


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254:80",
        "10.0.0.1:80",
        "0.0.0.0:80",
        "[::1]:80",
        "[::ffff:169.254.169.254]:80",
        "localhost:80",
        "metadata.google.internal:80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:99999999999999999999",
        "127.0.0.1:-1",
        "127.0.0.1:٣",
        "127.1:80",
        "2130706433:80",
        "/run/envoy.sock",
        "",
    ],
)
def test_no_replica_can_be_there(address: str) -> None:
    assert address not in LOCAL


@pytest.mark.parametrize(
    ("address", "is_possible"),
    [
        ("10.0.0.7:8080", True),
        ("[fd00::7]:8080", True),
        ("127.0.0.1:8000", False),
        ("[::1]:8000", False),
        ("169.254.169.254:80", False),
        ("[fe80::1]:80", False),
        ("224.0.0.1:80", False),
        ("0.0.0.0:80", False),
        ("pod.cluster.local:80", False),
    ],
)
def test_on_other_machines_it_is_never_on_this_one(address: str, is_possible: bool) -> None:
    addresses = Addresses.of("kubernetes", inner_ports=frozenset({8080}))
    assert (address in addresses) is is_possible
    assert (address in Addresses.of("local", inner_ports=frozenset())) is (address == "127.0.0.1:8000")


def test_ports_of_our_own_are_nobodys() -> None:
    assert "127.0.0.1:4222" not in Addresses(inner_ports=frozenset({4222}))
