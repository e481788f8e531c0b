"""NATS subject filters: what they match, and how to make several of them disjoint. Pure."""

from collections.abc import Sequence
from functools import lru_cache

ALL = ">"


@lru_cache(maxsize=4096)
def tokens(subject: str) -> tuple[str, ...]:
    return tuple(subject.split("."))


def covers(wide: str, narrow: str) -> bool:
    """Whether every subject that `narrow` matches is matched by `wide`; `narrow` may be a subject."""
    wide_tokens, narrow_tokens = tokens(wide), tokens(narrow)
    for at, wanted in enumerate(wide_tokens):
        if wanted == ">":
            return len(narrow_tokens) > at
        if at >= len(narrow_tokens):
            return False
        given = narrow_tokens[at]
        if given == ">" or wanted not in {"*", given}:
            return False
    return len(wide_tokens) == len(narrow_tokens)


def overlap(left: str, right: str) -> bool:
    """Whether some subject is matched by both."""
    left_tokens, right_tokens = tokens(left), tokens(right)
    for one, other in zip(left_tokens, right_tokens, strict=False):
        if ">" in {one, other}:
            return True
        if "*" not in {one, other} and one != other:
            return False
    return len(left_tokens) == len(right_tokens)


def matches_any(filters: Sequence[str], subject: str) -> bool:
    return any(covers(one, subject) for one in filters)


def disjoint(filters: Sequence[str]) -> tuple[str, ...]:
    """Filters that select at least the same and do not overlap: a consumer refuses those that do.

    One that another covers is dropped. Where two still overlap in part there are no such filters, so
    everything is selected and the reader has to match each subject itself.
    """
    kept: list[str] = []
    for one in dict.fromkeys(filters):
        if any(covers(other, one) for other in kept):
            continue
        kept = [other for other in kept if not covers(one, other)]
        kept.append(one)
    for at, one in enumerate(kept):
        if any(overlap(one, other) for other in kept[at + 1 :]):
            return (ALL,)
    return tuple(kept)
