"""How the checks of each replica stand: signals of health that the api shows. Never in the log."""

from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError
from pydantic import BaseModel, ConfigDict, ValidationError

from libs.common.bus import subjects
from libs.common.moment import Moment

MOST_BYTES: Final = 512 * 1024
"""Of one deployment's signal. A longer one is told without what its checks said."""
ANSWERED_WITHIN_S: Final = 1.0


class _Signal(BaseModel):
    """What a later version adds is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ExitSignal(_Signal):
    """How a process ended: `status` or `signal`; neither when nobody saw it."""

    status: int | None = None
    signal: int | None = None
    at: Moment | None = None


class CheckSignal(_Signal):
    """check: its kind. standing: unknown, passing or failing. failures: in a row. outcome: of the last
    attempt: success, failure, or error where it could not be made. message: why. output: what a command
    wrote, bounded. at: when it ended. latency_s: how long it took.
    """

    check: str
    standing: str
    failures: int = 0
    outcome: str | None = None
    message: str | None = None
    output: str | None = None
    at: Moment | None = None
    latency_s: float | None = None

    def without_words(self) -> "CheckSignal":
        return self.model_copy(update={"message": None, "output": None})


class ReplicaSignal(_Signal):
    """attempt: which of its processes the checks are of. checks: none where the cluster makes them itself."""

    replica_id: str
    attempt: int
    last_exit: ExitSignal | None = None
    checks: tuple[CheckSignal, ...] = ()


class DeploymentSignal(_Signal):
    sent_at: Moment
    replicas: tuple[ReplicaSignal, ...] = ()


class CheckSignals:
    """The newest signal of each deployment, over a connected client, which it shares and never closes."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._jetstream = client.jetstream(timeout=ANSWERED_WITHIN_S)

    async def publish(self, deployment_id: str, signal: DeploymentSignal) -> None:
        """Replaces the one before. It may be lost, and nobody is told then."""
        try:
            await self._client.publish(subjects.checks(deployment_id), encoded(signal))
        except NatsError:
            return  # the next one tells it

    async def get(self, deployment_id: str) -> DeploymentSignal | None:
        """None when none is known."""
        try:
            found = await self._jetstream.get_last_msg(subjects.CHECKS_STREAM, subjects.checks(deployment_id))
        except (APIError, NatsError, TimeoutError):
            return None
        try:
            return DeploymentSignal.model_validate_json(found.data or b"")
        except ValidationError:
            return None  # a later version's


def encoded(signal: DeploymentSignal) -> bytes:
    data = _json(signal)
    if len(data) <= MOST_BYTES:
        return data
    replicas = tuple(
        replica.model_copy(update={"checks": tuple(check.without_words() for check in replica.checks)})
        for replica in signal.replicas
    )
    return _json(signal.model_copy(update={"replicas": replicas}))


def _json(signal: DeploymentSignal) -> bytes:
    return signal.model_dump_json(exclude_none=True).encode()
