"""The names that one process gives its consumers."""

import random
from collections.abc import Iterator, Sequence

from libs.common.ids import new_id


class ConsumerNames:
    """given: what the broker allows; None where it allows any, and each is a fresh one."""

    def __init__(self, given: Sequence[str] | None) -> None:
        self._given = given
        self._used: set[str] = set()

    def candidates(self) -> Iterator[str]:
        """What may be tried for one more, each once: whether a name is free only the broker knows."""
        if self._given is None:
            yield new_id()
            return
        free = [name for name in self._given if name not in self._used]
        random.shuffle(free)
        yield from free

    def take(self, name: str) -> None:
        self._used.add(name)

    def release(self, name: str) -> None:
        self._used.discard(name)
