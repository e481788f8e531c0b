"""Edge of the broker: commands of other systems in, events or a rejection out; heartbeats in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog
from faststream.nats import NatsBroker, NatsMessage

from libs.common import telemetry
from libs.common.bus import subjects
from libs.common.bus.consume import work_subscriber
from libs.common.bus.heartbeat import Heartbeat
from libs.common.clock import Clock, to_rfc3339
from libs.common.errors import Refused
from libs.common.events.envelope import Cause
from libs.common.ids import name_key
from services.api import bodies
from services.api.cloudevents import CloudEvent, Malformed, id_in_headers, parse_cloud_event, to_json
from services.api.commands.carry_out import Commands
from services.api.commands.known_ids import check_deployment_id, check_project_id
from services.api.health import Heartbeats
from services.api.projector import NotVisible
from services.api.refusals import PayloadTooLarge
from services.api.settings import MAX_BODY_BYTES

logger = structlog.get_logger()

REJECTED_TYPE = "specstream.command.rejected"


PUBLISH_TIMEOUT_S = 5.0


def subscribe(
    broker: NatsBroker, commands: Commands, heartbeats: Heartbeats, *, clock: Clock, service: str
) -> None:
    """Every subscription of the api; `broker.start()` begins them."""

    async def publish(subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        await broker.publish(
            body,
            subject,
            headers=dict(headers),
            stream=subjects.COMMANDS_STREAM,
            timeout=PUBLISH_TIMEOUT_S,
        )

    handler = CommandHandler(commands, publish, clock)

    @work_subscriber(
        broker,
        "commands.>",
        stream=subjects.COMMANDS_STREAM,
        durable=subjects.COMMANDS_DURABLE,
        service=service,
        batch=1,
    )
    async def on_command(body: bytes, message: NatsMessage) -> None:
        raw = message.raw_message
        await handler.on_command(raw.subject, raw.headers or {}, body)

    @broker.subscriber(subjects.HEARTBEATS)
    async def on_heartbeat(beat: Heartbeat) -> None:
        heartbeats.take(beat, clock())


class Publish(Protocol):
    """Puts a message on the command stream, durably."""

    async def __call__(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None: ...


@dataclass(slots=True)
class CommandHandler:
    """Carries out a command.

    A command that led to an event before is acknowledged and does nothing. What the present state or the
    command's content forbids is rejected; everything temporary is raised, to be delivered again.
    """

    commands: Commands
    publish: Publish
    clock: Clock

    async def on_command(self, subject: str, headers: Mapping[str, str], body: bytes) -> None:
        """subject: `commands.<project_id>.deployment.submit` or `.delete`."""
        _, project_id, _, verb = subject.split(".")
        traceparent = {name.lower(): value for name, value in headers.items()}.get("traceparent")
        with telemetry.span(f"process commands.*.deployment.{verb}", traceparent):
            await self._handle(project_id, verb, headers, body)

    async def _handle(self, project_id: str, verb: str, headers: Mapping[str, str], body: bytes) -> None:
        command_id = id_in_headers(headers)
        try:
            if len(body) > MAX_BODY_BYTES:
                raise PayloadTooLarge
            event = parse_cloud_event(headers, body)
            command_id = event.id
            await self._carry_out(project_id, verb, event)
        except Malformed as error:
            await self._reject(project_id, error.event_id, error)
        except Refused as error:
            await self._reject(project_id, command_id, error)
        except NotVisible as error:
            # It is durable, which is all that a command asks for.
            logger.warning("command done, not yet visible", command_id=command_id, error=str(error))

    async def _carry_out(self, project_id: str, verb: str, event: CloudEvent) -> None:
        cause = Cause(
            actor=event.source,
            correlation_id=event.id,
            causation_id=event.id,
            traceparent=telemetry.current_traceparent(),
        )
        check_project_id(project_id)
        if verb == "submit":
            submission = bodies.parse_submit_command(event.data)
            if submission.deployment_id is not None:
                check_deployment_id(submission.deployment_id)
            await self.commands.submit(
                submission.spec,
                project_id=project_id,
                deployment_id=submission.deployment_id,
                cause=cause,
            )
        else:
            deletion = bodies.parse_delete_command(event.data)
            check_deployment_id(deletion.deployment_id)
            await self.commands.delete(deletion.deployment_id, project_id=project_id, cause=cause)
        logger.info("command done", command_id=event.id, verb=verb)

    async def _reject(self, project_id: str, command_id: str | None, error: Refused) -> None:
        rejection = {
            "commandId": command_id,
            "code": error.code,
            "message": error.message,
            "issues": [issue.to_wire() for issue in error.issues],
        }
        body = to_json(rejection)
        # The same for the same rejection, so that a command delivered twice is answered once.
        rejection_id = name_key(f"rejected {project_id} {command_id}", body.decode())
        headers = {
            "ce-specversion": "1.0",
            "ce-id": rejection_id,
            "ce-source": "specstream/api",
            "ce-type": REJECTED_TYPE,
            "ce-time": to_rfc3339(self.clock()),
            "content-type": "application/json",
            "Nats-Msg-Id": rejection_id,
        }
        if command_id is not None and command_id.isascii() and command_id.isprintable():
            headers["ce-causationid"] = command_id
        traceparent = telemetry.current_traceparent()
        if traceparent is not None:
            headers["traceparent"] = traceparent
        await self.publish(subjects.rejected(project_id), body, headers)
        logger.info("command rejected", command_id=command_id, code=error.code, reason=error.message)
