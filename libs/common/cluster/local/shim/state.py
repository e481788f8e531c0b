"""How a replica is, as its shim keeps it in `state.json`. Times are seconds since the epoch."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class State:
    """attempt: how often it was started again; None before its first start. pid, start_ticks: its process,
    None while it has none. ports: its own port for each port of its template. last_exit: `status`, `signal`,
    `at`.
    restart_at: when it is started next. back_off_s: the wait before this attempt, None at the first.
    message: why it could not be started.
    """

    __slots__ = (
        "attempt",
        "back_off_s",
        "last_exit",
        "message",
        "pid",
        "ports",
        "restart_at",
        "start_ticks",
        "started_at",
    )

    def __init__(self, stored: dict[str, Any] | None = None) -> None:
        stored = stored or {}
        self.attempt: int | None = stored.get("attempt")
        self.pid: int | None = stored.get("pid")
        self.start_ticks: int | None = stored.get("start_ticks")
        self.ports: dict[int, int] = {int(port): own for port, own in stored.get("ports", {}).items()}
        self.started_at: float | None = stored.get("started_at")
        self.last_exit: dict[str, Any] | None = stored.get("last_exit")
        self.restart_at: float | None = stored.get("restart_at")
        self.back_off_s: float | None = stored.get("back_off_s")
        self.message: str | None = stored.get("message")

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}
