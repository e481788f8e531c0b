"""Edge of the broker: commands of other systems in, events and an answer out; heartbeats in.

What is declared here is also what the AsyncAPI document is made from.
"""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Annotated

from faststream.exceptions import RejectMessage
from faststream.nats import NatsBroker, NatsMessage
from pydantic import Field, InstanceOf, WithJsonSchema

from libs.common import telemetry
from libs.common.bus import subjects
from libs.common.bus.consume import signal_subscriber, work_subscriber
from libs.common.bus.heartbeat import Heartbeat
from libs.common.bus.in_progress import in_progress
from libs.common.bus.publish import stored_publisher
from services.api.commands.outcomes import State
from services.api.edge.answers import Done, Message, Rejection
from services.api.edge.bodies import DeleteCommandBody, SubmitCommandBody
from services.api.edge.command import Command, read_command
from services.api.edge.command_handler import Publish

Submit = Annotated[
    InstanceOf[Command],
    Field(title=SubmitCommandBody.__name__),
    WithJsonSchema(SubmitCommandBody.model_json_schema()),
]
"""What is read from such a message, described by the message's body, which may be unreadable."""

Delete = Annotated[
    InstanceOf[Command],
    Field(title=DeleteCommandBody.__name__),
    WithJsonSchema(DeleteCommandBody.model_json_schema()),
]


def subscribe(
    broker: NatsBroker,
    carry_out: Callable[[Command], Awaitable[State]],
    take: Callable[[Heartbeat], None],
    *,
    service: str,
    machine_types: Collection[str],
) -> None:
    """Every subscription of the api; `broker.start()` begins them.

    machine_types: the names of those that there are.
    """
    commands = work_subscriber(
        broker,
        subjects.COMMANDS,
        partial(read_command, machine_types=machine_types),
        stream=subjects.COMMANDS_STREAM,
        durable=subjects.COMMANDS_DURABLE,
        service=service,
        title="commands",
        description=(
            "A command, known by its source and id. It is answered once it is carried out or refused. The "
            "same source and id again, within 30 days, have no second effect and get the first answer again."
        ),
    )

    @commands(filter=_asks_to("submit"))
    async def on_submit(command: Submit, message: NatsMessage) -> None:
        await on_command(command, message)

    @commands(filter=_asks_to("delete"))
    async def on_delete(command: Delete, message: NatsMessage) -> None:
        await on_command(command, message)

    async def on_command(command: Command, message: NatsMessage) -> None:
        """One at a time: the durable gives out no second one before this one is acknowledged."""
        with telemetry.span(f"process commands.*.deployment.{command.verb}", command.traceparent):
            async with in_progress(message):
                state = await carry_out(command)
        if state is State.FAILED:
            # It is answered and remembered; this parks it, too, so that it can be looked at.
            raise RejectMessage

    @signal_subscriber(broker, subjects.HEARTBEATS, read_heartbeat)
    async def on_heartbeat(beat: InstanceOf[Heartbeat]) -> None:
        take(beat)


def read_heartbeat(subject: str, body: bytes) -> Heartbeat:
    """Raises ValueError."""
    beat = Heartbeat.model_validate_json(body)
    if subject != subjects.heartbeat(beat.service):
        # The broker holds who sends to a subject, and not what is said there.
        raise ValueError("it is in another service's name")
    return beat


def _asks_to(verb: str) -> Callable[[NatsMessage], Awaitable[bool]]:
    async def asks(message: NatsMessage) -> bool:
        return bool(message.path["verb"] == verb)

    return asks


def make_publish(broker: NatsBroker) -> Publish:
    """Answers go to the stream that commands come from."""
    stream = subjects.COMMANDS_STREAM
    done = stored_publisher(
        broker,
        subjects.DONE,
        Done,
        stream=stream,
        title="done",
        description="Commands that are carried out.",
    )
    rejected = stored_publisher(
        broker, subjects.REJECTED, Rejection, stream=stream, title="rejected", description="Refused commands."
    )

    async def publish(message: Message) -> None:
        to = done if isinstance(message.answer, Done) else rejected
        await to(message.subject, message.body, message.headers)

    return publish


def declare(broker: NatsBroker) -> None:
    """Everything of the api, only to be described."""

    async def nobody(_: object) -> State:
        raise NotImplementedError

    subscribe(broker, nobody, lambda _: None, service="api", machine_types=())
    make_publish(broker)
