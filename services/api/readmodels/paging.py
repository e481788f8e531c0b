"""Pages: a cursor is a place in the order of one kind of list, spelled so that nobody builds one. Pure."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from libs.common.errors import BadRequest, Issue

Order = Literal["asc", "desc"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Paging:
    """after: the place after which the page begins, None for the first page."""

    limit: int
    order: Order = "desc"
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """next_page: the cursor of the next one, None on the last."""

    items: tuple[T, ...]
    next_page: str | None = None

    @property
    def has_more(self) -> bool:
        return self.next_page is not None


def make_page(kind: str, found: Sequence[T], limit: int, place: Callable[[T], int]) -> Page[T]:
    """found: one more than `limit`, if there is one more."""
    items = tuple(found[:limit])
    return Page(items, to_cursor(kind, place(items[-1])) if len(found) > limit else None)


def to_cursor(kind: str, place: int) -> str:
    return base64.urlsafe_b64encode(f"{kind}.{place}".encode()).rstrip(b"=").decode()


def from_cursor(kind: str, cursor: str) -> int:
    """Raises BadRequest for what is not a cursor of this kind of list."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        found_kind, _, place = text.partition(".")
        if found_kind == kind and place.isdecimal() and to_cursor(kind, int(place)) == cursor:
            return min(int(place), 2**63 - 1)
    except (ValueError, binascii.Error):
        pass
    raise BadRequest(
        "after: is not a cursor of this list",
        [Issue(("after",), "is not a cursor of this list", cursor[:100], "the `nextPage` of a page before")],
    )
