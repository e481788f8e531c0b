"""Answers about the log as a whole."""

from pydantic import Field

from services.api.edge.schemas.base import Answer


class VerifyAnswer(Answer):
    """ok: whether all of it holds. sequence and reason: the first thing that does not.

    unread: what of it this version of Specstream does not understand.
    """

    ok: bool
    events: int | None = Field(default=None, exclude_if=lambda value: value is None)
    aggregates: int | None = Field(default=None, exclude_if=lambda value: value is None)
    sequence: int | None = Field(default=None, exclude_if=lambda value: value is None)
    reason: str | None = Field(default=None, exclude_if=lambda value: value is None)
    unread: str | None = Field(default=None, exclude_if=lambda value: value is None)


class ImportAnswer(Answer):
    events: int


class ImportProgress(Answer):
    """state: `none`, `storing`, `done` or `failed`. stored: of its events. shown: how many of them are in the
    answers. digest: of the export's head."""

    state: str
    events: int
    stored: int
    shown: int
    digest: str | None = Field(default=None, exclude_if=lambda value: value is None)
    message: str | None = Field(default=None, exclude_if=lambda value: value is None)
