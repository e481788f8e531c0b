"""Cutting what comes in pieces into lines. Pure.

aiohttp's own `readline` fails for lines longer than its buffer, and one event of a watch holds a whole
object.
"""

from collections.abc import Iterator
from typing import Final

from libs.common.errors import ClusterUnavailable

LONGEST: Final = 4 * 1024 * 1024
"""Bytes. No object of etcd is longer than 1.5 MiB, and as JSON it is somewhat more."""


class Lines:
    """What has come since the last end of a line is kept."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._pieces: list[bytes] = []
        self._held = 0

    def take(self, piece: bytes) -> Iterator[bytes]:
        """Each line that this piece completes. Raises ClusterUnavailable for one too long."""
        *ended, rest = piece.split(b"\n")
        for part in ended:
            line = b"".join((*self._pieces, part))
            self._pieces, self._held = [], 0
            if line:
                yield line
        if rest:
            self._pieces.append(rest)
            self._held += len(rest)
        if self._held > self._longest:
            raise ClusterUnavailable(
                f"the Kubernetes API server sends a line of more than {self._longest} bytes in a watch"
            )
