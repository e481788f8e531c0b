"""Which addresses a replica can have at all, whatever an event says. Pure."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

LOOPBACK = ip_network("127.0.0.0/8")


@dataclass(frozen=True, slots=True)
class Addresses:
    network: IPv4Network | IPv6Network | None = LOOPBACK
    """Where the replicas of this cluster are; those of a local one are on the loopback. None: they are on
    other machines, so anywhere but on this one or where only a link or nobody is."""
    inner_ports: frozenset[int] = frozenset()
    """The ports on which our own services listen there; no replica has one."""

    @classmethod
    def of(cls, cluster: str, *, inner_ports: frozenset[int]) -> Self:
        """Of a cluster by the word of the settings. inner_ports: ours on this machine."""
        return cls(None) if cluster == "kubernetes" else cls(inner_ports=inner_ports)

    def __contains__(self, address: str) -> bool:
        """Whether `address`, a `host:port`, can be a replica's. A host is an IP address, never a name."""
        parsed = _parse(address)
        if parsed is None:
            return False
        ip, port = parsed
        if self.network is None:
            return not (ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified)
        return ip in self.network and port not in self.inner_ports


@lru_cache(maxsize=16_384)
def _parse(address: str) -> tuple[IPv4Address | IPv6Address, int] | None:
    """None for what is no `host:port`. Kept: each change asks about all replicas of a deployment."""
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65_536):
        return None
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")), int(port)
    except ValueError:
        return None


LOCAL = Addresses()
