"""The head of the log: all of it up to some sequence in one line. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from libs.common.clock import to_rfc3339
from libs.common.log import chain, wire
from libs.common.log.port import Stored

VERSION = 2
VERSIONS = (1, VERSION)


@dataclass(frozen=True, slots=True)
class LogHead:
    """The log up to `sequence` in one line: the number of its events and a digest.

    Kept outside the log it is evidence: nobody can change an event below it unnoticed.

    | version | its digest covers                                                           |
    |---------|-----------------------------------------------------------------------------|
    | 1       | the hash of each event                                                      |
    | 2       | each event whole: when it was stored, its subject, headers, hash and payload |
    """

    sequence: int
    events: int
    digest: str
    version: int = VERSION

    def to_wire(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "sequence": self.sequence,
            "events": self.events,
            "digest": self.digest,
        }

    def __str__(self) -> str:
        """As `parse` takes it: short enough to be kept on paper."""
        return f"{self.version}:{self.sequence}:{self.events}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for what is not a head, or one of a later version."""
        version, sequence, events, digest = text.strip().split(":")
        return cls.from_wire(
            {
                "version": int(version),
                "sequence": int(sequence),
                "events": int(events),
                "digest": digest,
            }
        )

    @classmethod
    def from_wire(cls, content: Mapping[str, Any]) -> Self:
        """Raises KeyError or TypeError for what is not a head, ValueError for one of a later version."""
        version = content.get("version", 1)
        if version not in VERSIONS:
            known = " and ".join(map(str, VERSIONS))
            raise ValueError(f"it is of version {version}; this version of Specstream knows {known}")
        return cls(content["sequence"], content["events"], content["digest"], version)


@dataclass(slots=True)
class RunningHead:
    """The head of a log whose events are taken one after the other, in each version."""

    sequence: int = 0
    events: int = 0
    _of_hashes: Any = field(default_factory=hashlib.sha256)
    _of_all: Any = field(default_factory=hashlib.sha256)

    def take(self, event: Stored, *, covered: bytes | None = None) -> None:
        """covered: its headers as `chain.envelope` gives them, where somebody has them already."""
        stored_hash = event.headers.get(wire.HASH, "").encode()
        self._of_hashes.update(stored_hash)
        parts = (
            to_rfc3339(event.time).encode(),
            event.subject.encode(),
            chain.envelope(event.headers) if covered is None else covered,
            stored_hash,
            event.data,
        )
        self._of_all.update(chain.framed(parts))
        self.sequence = event.sequence
        self.events += 1

    def head(self, version: int = VERSION) -> LogHead:
        digest = self._of_all if version == VERSION else self._of_hashes
        return LogHead(self.sequence, self.events, digest.hexdigest(), version)
