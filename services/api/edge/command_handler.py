"""From one command of another system to its one effect and its one answer, whatever dies in between.

| found                              | then                                                             |
|------------------------------------|------------------------------------------------------------------|
| no source or id to know it by      | refused; nothing is remembered                                   |
| its outcome                        | answered with it                                                 |
| nothing                            | noted as begun, carried out, its outcome noted, answered         |
| a note that it was begun           | the same; what the earlier attempt did is looked for first       |
| that it was begun ten times before | failed: whatever it meets ends the process                       |

While it is carried out:

| what happens                                | then                                                    |
|---------------------------------------------|---------------------------------------------------------|
| done, or nothing to do                      | done                                                    |
| its content or the present state forbids it | refused                                                 |
| the log is away, or others are too quick    | tried again until it works: all other commands would    |
|                                             | meet the same, and none may overtake another            |
| anything else                               | tried again twice, then failed, so that others go on    |
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import structlog

from libs.common import telemetry
from libs.common.bus import subjects
from libs.common.bus.entries import Replaced
from libs.common.bus.heartbeat import SetAside
from libs.common.bus.outcome import retry_delay_s
from libs.common.bus.principal import principal_of
from libs.common.bus.publish import CannotStore
from libs.common.clock import Clock
from libs.common.errors import Refused, Temporary
from libs.common.events.envelope import Cause
from libs.common.log.port import EventLog
from services.api.commands.carry_out import Commands
from services.api.commands.known_ids import check_deployment_id, check_project_id
from services.api.commands.outcomes import Begun, CommandKey, Outcome, Outcomes, State
from services.api.edge import answers, bodies
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

logger = structlog.get_logger()

T = TypeVar("T")

MOST_FAILURES = 3
"""Unexpected errors in a row before a command is given up."""

MOST_ATTEMPTS = 10
"""Beginnings of a command that all ended with the process."""

MOST_DELIVERIES = 5
"""Of a message that fails outside what is answered: it would hold up all others for ever."""

ANSWER_TRIES = 3
"""How often a stream that refuses an answer is asked again."""

MOST_SET_ASIDE = 100

CLOCK_DOUBT = timedelta(minutes=1)
"""How far the times of two streams may be apart."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """sequence: of the command in its stream. number: how often it was delivered, this time included.
    stored_at: when its publisher had it acknowledged."""

    sequence: int
    number: int
    stored_at: datetime


class Publish(Protocol):
    """Puts a message on the command stream, durably. Raises LogUnavailable, CannotStore."""

    async def __call__(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A command as it came. content: what it asks for, or why it cannot be read."""

    project_id: str
    verb: str
    actor: str
    named: Named
    content: CloudEvent | Refused

    @property
    def key(self) -> CommandKey | None:
        named = self.named
        known = named.is_known and named.source is not None and named.id is not None
        return CommandKey(named.source or "", named.id or "") if known else None

    @property
    def about(self) -> str:
        """The deployment or the name that it is about, as far as it says so."""
        data = self.content.data if isinstance(self.content, CloudEvent) else None
        data = data if isinstance(data, dict) else {}
        config = data.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        said = next((one for one in (data.get("deploymentId"), name) if isinstance(one, str)), None)
        return (said or f"command {self.named.id}")[:200]


@dataclass(slots=True)
class CommandHandler:
    """set_aside: what could not be carried out, by what it is about, until a later command about it can."""

    log: EventLog
    commands: Commands
    outcomes: Outcomes
    publish: Publish
    clock: Clock
    set_aside: dict[str, SetAside] = field(default_factory=dict)

    async def on_command(
        self, project_id: str, verb: str, headers: Mapping[str, str], body: bytes, delivery: Delivery
    ) -> State:
        """Returns when its publisher has been told, or cannot be. headers: their names in lower case."""
        try:
            return await self._on_command(project_id, verb, headers, body, delivery)
        except Exception as error:
            if delivery.number < MOST_DELIVERIES:
                raise
            logger.exception("command dropped", sequence=delivery.sequence, deliveries=delivery.number)
            reason = f"message {delivery.sequence} was given up: {type(error).__name__}: {error}"
            self._set_aside(f"message {delivery.sequence}", reason, delivery.number)
            return State.FAILED

    async def _on_command(
        self, project_id: str, verb: str, headers: Mapping[str, str], body: bytes, delivery: Delivery
    ) -> State:
        asked = _read(project_id, verb, headers, body)
        key = asked.key
        if key is None:
            assert isinstance(asked.content, Refused)
            outcome = Outcome(State.REFUSED, self.clock(), answers.rejected(asked.named, asked.content))
        else:
            outcome = await self._outcome(key, asked, delivery)
        await self._tell(asked, outcome)
        return outcome.state

    async def _outcome(self, key: CommandKey, asked: Asked, delivery: Delivery) -> Outcome:
        while True:
            try:
                begun = await _patiently(lambda: self._begin(key, delivery))
                if isinstance(begun, Outcome):
                    logger.info("command known", command_id=key.id, source=key.source, state=begun.state)
                    return begun
                state, answer = await self._carry_out(begun, asked)
                return await _patiently(lambda: self.outcomes.settle(begun, state, answer))  # noqa: B023 - awaited at once
            except Replaced as error:
                logger.info("another process is at work on it", command_id=key.id, reason=str(error))
                await asyncio.sleep(retry_delay_s(1))

    async def _begin(self, key: CommandKey, delivery: Delivery) -> Begun | Outcome:
        is_new = delivery.number == 1
        if is_new:
            after = await self.log.last_sequence()
        else:
            # Perhaps without a note: whoever had it died before that, or was a version that made none.
            after = await self.log.sequence_at(delivery.stored_at - CLOCK_DOUBT)
        return await self.outcomes.begin(key, after=after, is_new=is_new)

    async def _carry_out(self, begun: Begun, asked: Asked) -> tuple[State, Mapping[str, Any]]:
        if begun.attempts > MOST_ATTEMPTS:
            reason = f"the api ended {MOST_ATTEMPTS} times while it carried the command out"
            return self._give_up(asked, reason, begun.attempts)
        failures = waits = 0
        while True:
            try:
                answer = await self._once(begun, asked)
            except Refused as error:
                self.set_aside.pop(asked.about, None)
                logger.info("command refused", command_id=begun.key.id, code=error.code, reason=error.message)
                return State.REFUSED, answers.rejected(asked.named, error)
            except Temporary as error:
                waits += 1
                await _wait(waits, error)
            except Exception as error:
                failures += 1
                logger.exception("command failed", command_id=begun.key.id, failures=failures)
                if failures == MOST_FAILURES:
                    return self._give_up(asked, f"{type(error).__name__}: {error}", failures)
                await asyncio.sleep(retry_delay_s(failures))
            else:
                self.set_aside.pop(asked.about, None)
                logger.info("command done", command_id=begun.key.id, verb=asked.verb)
                return State.DONE, answer
            # What just failed may have had its effect.
            begun = replace(begun, is_new=False)

    async def _once(self, begun: Begun, asked: Asked) -> Mapping[str, Any]:
        """Raises what `Commands` raises."""
        if isinstance(asked.content, Refused):
            raise asked.content
        project_id, data = asked.project_id, asked.content.data
        cause = Cause(
            actor=asked.actor,
            correlation_id=begun.key.id,
            causation_id=begun.key.id,
            traceparent=telemetry.current_traceparent(),
            causation_source=begun.key.source,
        )
        check_project_id(project_id)
        if asked.verb == "submit":
            submission = bodies.parse_submit_command(data)
            if submission.deployment_id is not None:
                check_deployment_id(submission.deployment_id)
            submitted = await self.commands.submit(
                submission.spec,
                project_id=project_id,
                deployment_id=submission.deployment_id,
                cause=cause,
                begun=begun,
            )
            return answers.done(asked.named, deployment_id=submitted.deployment_id, spec_id=submitted.spec_id)
        deletion = bodies.parse_delete_command(data)
        check_deployment_id(deletion.deployment_id)
        deleted = await self.commands.delete(
            deletion.deployment_id, project_id=project_id, cause=cause, begun=begun
        )
        return answers.done(asked.named, deployment_id=deleted, spec_id=None)

    def _give_up(self, asked: Asked, reason: str, attempts: int) -> tuple[State, Mapping[str, Any]]:
        logger.error("command given up", command_id=asked.named.id, about=asked.about, reason=reason)
        whose = f"command {asked.named.id} of {asked.named.source} was given up"
        self._set_aside(asked.about, f"{whose}: {reason}", attempts)
        told = (
            f"the platform could not carry the command out after {attempts} attempts; "
            "the events tell whether it had an effect, and the log of api tells why"
        )
        return State.FAILED, answers.failed(asked.named, told)

    def _set_aside(self, about: str, reason: str, attempts: int) -> None:
        while len(self.set_aside) >= MOST_SET_ASIDE:
            self.set_aside.pop(next(iter(self.set_aside)))
        self.set_aside[about] = SetAside(
            subject=about, reason=reason[:500], since=self.clock(), attempts=attempts
        )

    async def _tell(self, asked: Asked, outcome: Outcome) -> None:
        """A stream that refuses answers holds no commands up: the outcome is remembered, to be asked for."""
        is_done = outcome.state is State.DONE
        told = answers.message(
            outcome.answer,
            of_type=answers.DONE_TYPE if is_done else answers.REJECTED_TYPE,
            project_id=asked.project_id,
            at=outcome.at,
            traceparent=telemetry.current_traceparent(),
        )
        subject = (subjects.done if is_done else subjects.rejected)(asked.project_id)
        for attempt in range(1, ANSWER_TRIES + 1):
            try:
                await _patiently(lambda: self.publish(subject, told.body, told.headers))
                return
            except CannotStore as error:
                logger.warning("answer refused", subject=subject, attempt=attempt, error=str(error))
                await asyncio.sleep(retry_delay_s(attempt))
        logger.error("command not answered", command_id=asked.named.id, subject=subject)


def _read(project_id: str, verb: str, headers: Mapping[str, str], body: bytes) -> Asked:
    actor = f"command:{principal_of(f'commands.{project_id}.deployment.{verb}', headers)}"
    if len(body) > MAX_BODY_BYTES:
        return Asked(project_id, verb, actor, named_in_headers(headers), PayloadTooLarge())
    try:
        event = parse_cloud_event(headers, body)
    except Malformed as error:
        return Asked(project_id, verb, actor, error.named, error)
    named = Named(event.id, event.source, is_known=True)
    return Asked(project_id, verb, actor, named, misnamed(event, verb) or event)


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Until it works or fails for another reason than that the broker is away. Raises Replaced too."""
    waits = 0
    while True:
        try:
            return await call()
        except Replaced:
            raise
        except Temporary as error:
            waits += 1
            await _wait(waits, error)


async def _wait(waits: int, error: Temporary) -> None:
    delay = retry_delay_s(waits)
    logger.warning("command has to wait", waits=waits, delay_s=delay, reason=str(error))
    await asyncio.sleep(delay)
