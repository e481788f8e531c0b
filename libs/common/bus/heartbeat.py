"""Heartbeats: how a service says that it moves. A signal: droppable, never in the log."""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import structlog
from faststream.nats import NatsBroker
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from libs.common.bus import subjects
from libs.common.clock import Clock, utc_now
from libs.common.moment import Moment
from libs.common.services import MOST_COPIES

logger = structlog.get_logger()

MOST_SET_ASIDE = 20
"""Named in one heartbeat, which has to stay small."""

MOST_UNKNOWN = 10
"""Keys of one heartbeat that are not understood and are said."""


@lru_cache(maxsize=1000)
def _say_once(kind: str, key: str) -> None:
    logger.warning("a key that a later version sends is not understood", kind=kind, key=key)


class _OfAnyVersion(BaseModel):
    """What this version does not know is left out, and said once: an upgrade goes service by service."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _say_unknown(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            for key in sorted(map(str, given.keys() - cls.model_fields.keys()))[:MOST_UNKNOWN]:
                _say_once(cls.__name__, key[:100])
        return given


class SetAside(_OfAnyVersion):
    """A deployment (or, for the api, a name) that could not be handled, so that all others go on without it.

    subject: its id. reason: in one sentence. since: of the first failure in a row. attempts: so far.
    """

    subject: str
    reason: str
    since: Moment
    attempts: int


class Standing(StrEnum):
    """What a copy of a service is, where one of several leads."""

    LEADING = "leading"
    WARM = "warm"
    """It knows all that the leading one knows, and takes over when that ends. It counts as ready."""


class Heartbeat(_OfAnyVersion):
    """service: its name. applied_sequence: the last event it has taken in. sent_at: its own clock.

    problem: why it is not ready, in one sentence; empty when it is, or when it only starts.
    set_aside: what it works without; at most `MOST_SET_ASIDE`, the longest first.
    standing: one of `Standing`; empty where every copy does the same.
    copy_number: which copy of the service it is.
    is_last: it was stopped in order, and says no more.
    """

    service: str
    pid: int
    is_ready: bool
    applied_sequence: int
    sent_at: Moment
    problem: str = ""
    standing: str = ""
    copy_number: int = Field(default=1, ge=1, le=MOST_COPIES)
    is_last: bool = False
    set_aside: tuple[SetAside, ...] = ()
    detail: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _is_utf_8(cls, given: Any) -> Any:
        """What an answer could not be made of raises ValueError."""
        json.dumps(given, ensure_ascii=False, default=str).encode()
        return given

    @field_validator("detail")
    @classmethod
    def _is_shown(cls, detail: dict[str, Any]) -> dict[str, Any]:
        """What the health check shows of it is text."""
        _NOTICES.validate_python(detail.get("notices", ()))
        _PROBLEM.validate_python(detail.get("envoy_problem"))
        return detail


_NOTICES: Final = TypeAdapter(tuple[str, ...])
_PROBLEM: Final = TypeAdapter(str | None)


class HeartbeatPublisher:
    """Publishes one service's heartbeats, every `interval_s` seconds."""

    def __init__(
        self,
        broker: NatsBroker,
        *,
        service: str,
        pid: int,
        copy_number: int = 1,
        interval_s: float = 2.0,
        clock: Clock = utc_now,
    ) -> None:
        self._publisher = broker.publisher(
            subjects.heartbeat(service), schema=Heartbeat, include_in_schema=False
        )
        self._service = service
        self._pid = pid
        self._copy_number = copy_number
        self._clock = clock
        self.interval_s = interval_s

    async def publish(
        self,
        *,
        applied_sequence: int,
        is_ready: bool,
        detail: dict[str, Any],
        problem: str = "",
        standing: str = "",
        set_aside: Iterable[SetAside] = (),
        is_last: bool = False,
    ) -> None:
        longest_first = sorted(set_aside, key=lambda one: one.since)
        beat = Heartbeat(
            service=self._service,
            pid=self._pid,
            is_ready=is_ready,
            applied_sequence=applied_sequence,
            sent_at=self._clock(),
            problem=problem,
            standing=standing,
            copy_number=self._copy_number,
            is_last=is_last,
            set_aside=tuple(longest_first[:MOST_SET_ASIDE]),
            detail=detail,
        )
        await self._publisher.publish(beat)
