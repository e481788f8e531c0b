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


async def soon_or_twice(
    attempt: Callable[[], Awaitable[float]], undisturbed: Callable[[], Awaitable[float]], within_s: float
) -> None:
    """At least one attempt takes no longer, or no longer than twice what the same takes undisturbed just
    after it: on a machine where even that takes long nothing can be soon."""

    async def and_limit_s() -> tuple[float, float]:
        took_s = await attempt()
        return took_s, within_s if took_s <= within_s else max(within_s, 2 * await undisturbed())

    await one_of(and_limit_s, lambda took_and_limit_s: took_and_limit_s[0] <= took_and_limit_s[1])
