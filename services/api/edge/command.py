"""A command of another system: what its message says, read once and completely. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from libs.common.bus.delivered import Delivered
from libs.common.bus.principal import principal_of
from libs.common.errors import Refused
from services.api.commands.known_ids import check_deployment_id, check_project_id
from services.api.commands.outcomes import CommandKey
from services.api.edge import bodies
from services.api.edge.cloudevents import (
    CloudEvent,
    Malformed,
    Named,
    misnamed,
    named_in_headers,
    parse_cloud_event,
)
from services.api.edge.refusals import PayloadTooLarge
from services.api.settings import MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class Delivery:
    sequence: int
    """Of the command in its stream."""
    number: int
    """How often it was delivered, this time included."""
    stored_at: datetime
    """When its publisher had it acknowledged."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it came."""

    project_id: str
    verb: str
    actor: str
    named: Named
    about: str
    """The deployment or the name that it is about, as far as it says so."""
    traceparent: str | None
    content: bodies.Submission | bodies.DeleteCommandBody | Exception
    """What it asks for, or what to raise when it is carried out: why it cannot be read or is refused."""
    delivery: Delivery

    @property
    def key(self) -> CommandKey | None:
        named = self.named
        known = named.is_known and named.source is not None and named.id is not None
        return CommandKey(named.source or "", named.id or "") if known else None


def read_command(delivered: Delivered, machine_types: Collection[str]) -> Command:
    """Of a message of the stream of commands. It never fails, so that whoever sent it can be answered.

    machine_types: the names of those that there are.
    """
    # commands.<project_id>.deployment.submit, or .delete
    _, project_id, _, verb = delivered.subject.split(".")
    headers = {name.lower(): value for name, value in delivered.headers.items()}
    named, about = Named(), ""
    content: bodies.Submission | bodies.DeleteCommandBody | Exception
    try:
        if len(delivered.body) > MAX_BODY_BYTES:
            named, content = named_in_headers(headers), PayloadTooLarge()
        else:
            event = parse_cloud_event(headers, delivered.body)
            named, about = Named(event.id, event.source, is_known=True), _about(event.data)
            content = _content(event, project_id, verb, machine_types)
    except Malformed as error:
        named, content = error.named, error
    except Exception as error:  # noqa: BLE001 - a fault of ours is met where a failed command is answered
        content = error
    return Command(
        project_id,
        verb,
        f"command:{principal_of(delivered.subject, headers)}",
        named,
        about or f"command {named.id}"[:200],
        headers.get("traceparent"),
        content,
        Delivery(delivered.sequence, delivered.deliveries, delivered.time),
    )


def _content(
    event: CloudEvent, project_id: str, verb: str, machine_types: Collection[str]
) -> bodies.Submission | bodies.DeleteCommandBody:
    """Raises Refused."""
    contradiction: Refused | None = misnamed(event, verb)
    if contradiction is not None:
        raise contradiction
    check_project_id(project_id)
    if verb == "submit":
        submission = bodies.parse_submit_command(event.data, machine_types)
        if submission.deployment_id is not None:
            check_deployment_id(submission.deployment_id)
        return submission
    deletion = bodies.parse_delete_command(event.data)
    check_deployment_id(deletion.deployment_id)
    return deletion


def _about(data: object) -> str:
    said = data if isinstance(data, Mapping) else {}
    config = said.get("config")
    name = config.get("name") if isinstance(config, Mapping) else None
    return next((one for one in (said.get("deploymentId"), name) if isinstance(one, str)), "")[:200]
