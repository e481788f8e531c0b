"""The addresses that `localhost` stands for on this machine.

A port that the platform listened on at one of them alone, anybody could listen on at the other, and get the
requests of every client that tries that one first.
"""

import socket

IPV4 = "127.0.0.1"
IPV6 = "::1"


def hosts() -> tuple[str, ...]:
    """IPv4 always, IPv6 where the machine has it."""
    if not socket.has_ipv6:
        return (IPV4,)
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind((IPV6, 0))
    except OSError:
        return (IPV4,)
    return (IPV4, IPV6)
