"""What every answer has in common: camel case, nothing validated twice."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

T = TypeVar("T")


class Answer(BaseModel):
    """What may be absent in the reference API is null here, never left out, unless it says so."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class PageOf(Answer, Generic[T]):
    """`nextPage` is there only when there is a next page: give it as `after`."""

    items: list[T]
    has_more: bool
    next_page: str | None = Field(default=None, exclude_if=lambda cursor: cursor is None)


class IssueAnswer(Answer):
    """One mistake: where it is, what is wrong, what was given, and what would be right."""

    path: list[str | int]
    message: str
    value: Any = None
    allowed: Any = Field(default=None, exclude_if=lambda allowed: allowed is None)


class ErrorAnswer(Answer):
    """Every refusal."""

    code: str
    message: str
    details: dict[str, Any] | None = Field(default=None, exclude_if=lambda details: details is None)
    issues: list[IssueAnswer] | None = Field(default=None, exclude_if=lambda issues: issues is None)
