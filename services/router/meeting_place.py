"""The folder where the router and its Envoy meet: two sockets, and the token that opens both."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.common.envoy_folder import ADMIN_SOCKET, TOKEN, XDS_SOCKET

_LOCK: Final = "xds.lock"


class PlaceTaken(Exception):
    """Another router serves here."""


@dataclass(frozen=True, slots=True)
class MeetingPlace:
    """Only the owner may enter the folder, and a replica, which runs as the same user but may not read the
    home, does not know the token.

    Paths go by a descriptor of the folder: the path of a socket may have 107 bytes, that of a home more.
    Envoy's working directory is the folder, and it names its sockets without one.
    """

    token: str
    descriptor: int

    @property
    def xds_socket(self) -> str:
        return f"/proc/self/fd/{self.descriptor}/{XDS_SOCKET}"

    @property
    def admin_socket(self) -> str:
        return f"/proc/self/fd/{self.descriptor}/{ADMIN_SOCKET}"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the one router here; a lock, because the second one to listen on a socket's path takes it
        silently from the first. Raises PlaceTaken."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = os.open(_LOCK, flags, 0o600, dir_fd=self.descriptor)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PlaceTaken("another router serves this Envoy") from None
            yield
        finally:
            os.close(lock)


@contextmanager
def entered(folder: Path) -> Iterator[MeetingPlace]:
    """Raises OSError when the folder or its token cannot be read, ValueError when the token is empty."""
    token = (folder / TOKEN).read_text().strip()
    if not token:
        raise ValueError(f"{folder / TOKEN} is empty; remove it to have a new one made")
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield MeetingPlace(token, descriptor)
    finally:
        os.close(descriptor)
