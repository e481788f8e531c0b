"""Of a few tries the best one counts: on a busy machine anything may take seconds."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

TRIES = 5


async def one_of(attempt: Callable[[], Awaitable[T]], is_so: Callable[[T], bool], *, tries: int = TRIES) -> T:
    """The first outcome of which that is so. Fails when no attempt has one."""
    seen: list[T] = []
    while not seen or not is_so(seen[-1]):
        assert len(seen) < tries, f"none of {tries} tries: {seen}"
        seen.append(await attempt())
    return seen[-1]


async def soon(attempt: Callable[[], Awaitable[float]], within_s: float, *, tries: int = TRIES) -> None:
    """At least one attempt takes no longer. attempt: how many seconds it took."""
    await one_of(attempt, lambda took_s: took_s <= within_s, tries=tries)
