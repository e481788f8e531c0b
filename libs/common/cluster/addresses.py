"""Which addresses a replica can have at all, whatever an event says. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

LOOPBACK = ip_network("127.0.0.0/8")


@dataclass(frozen=True, slots=True)
class Addresses:
    network: IPv4Network | IPv6Network = LOOPBACK
    """Where the replicas of this cluster are; those of a local one are on the loopback."""
    inner_ports: frozenset[int] = frozenset()
    """The ports on which our own services listen there; no replica has one."""

    def __contains__(self, address: str) -> bool:
        """Whether `address`, a `host:port`, can be a replica's. A host is an IP address, never a name."""
        host, _, port = address.rpartition(":")
        if not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65_536):
            return False
        try:
            ip = ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return ip in self.network and int(port) not in self.inner_ports


LOCAL = Addresses()
