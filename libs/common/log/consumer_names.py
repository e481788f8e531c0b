"""How a service's consumers of the log are called: by a bounded number of names of its own.

The broker lets a service create a consumer by these names alone. So no service can use up the consumers of
the stream that others need, nor change a consumer of another one. A prefix would not do: in a subject a name
is one token, and no wildcard matches a part of one.
"""

import random
from collections.abc import Iterator, Sequence

from libs.common.ids import new_id

USUAL = 32
"""For each service; it follows with one or two, and each is taken for some seconds after its use."""

OF_THE_API = 256
"""It follows for its clients too."""

MOST_EVENT_STREAMS = 200
"""That the api serves at once, so that it always has consumers for its own work."""


def names_of(service: str) -> tuple[str, ...]:
    number = OF_THE_API if service == "api" else USUAL
    return tuple(f"{service}-{place}" for place in range(number))


class ConsumerNames:
    """The names that one process gives away. given: None for fresh ones, where the broker allows any."""

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
