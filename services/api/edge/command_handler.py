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
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol, TypeVar

import structlog

from libs.common import telemetry
from libs.common.bus.entries import Replaced
from libs.common.bus.heartbeat import SetAside
from libs.common.bus.outcome import retry_delay_s
from libs.common.bus.publish import CannotStore
from libs.common.clock import Clock
from libs.common.errors import Refused, Temporary
from libs.common.events.envelope import Cause
from libs.common.log.port import EventLog
from libs.common.log.timeline import Timeline
from services.api.commands.carry_out import Commands
from services.api.commands.outcomes import Begun, CommandKey, Outcome, Outcomes, State
from services.api.edge import answers
from services.api.edge.bodies import Submission
from services.api.edge.command import Command, Delivery

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


class Publish(Protocol):
    """Puts an answer on the command stream, durably. Raises LogUnavailable, CannotStore."""

    async def __call__(self, message: answers.Message) -> None: ...


@dataclass(slots=True)
class CommandHandler:
    log: EventLog
    commands: Commands
    outcomes: Outcomes
    publish: Publish
    clock: Clock
    timeline: Timeline = field(default_factory=Timeline)
    """Of the log, as far as the read models have taken it in."""
    set_aside: dict[str, SetAside] = field(default_factory=dict)
    """What could not be carried out, by what it is about, until a later command about it can."""

    async def on_command(self, command: Command) -> State:
        """Returns when its publisher has been told, or cannot be."""
        delivery = command.delivery
        try:
            return await self._on_command(command)
        except Exception as error:
            if delivery.number < MOST_DELIVERIES:
                raise
            logger.exception("command dropped", sequence=delivery.sequence, deliveries=delivery.number)
            reason = f"message {delivery.sequence} was given up: {type(error).__name__}: {error}"
            self._set_aside(f"message {delivery.sequence}", reason, delivery.number)
            return State.FAILED

    async def _on_command(self, command: Command) -> State:
        key = command.key
        if key is not None:
            outcome = await self._outcome(key, command)
        elif isinstance(command.content, Refused):
            rejection = answers.rejected(command.named, command.content)
            outcome = Outcome(State.REFUSED, self.clock(), answers.to_wire(rejection))
        else:
            assert isinstance(command.content, Exception)
            raise command.content
        await self._tell(command, outcome)
        return outcome.state

    async def _outcome(self, key: CommandKey, command: Command) -> Outcome:
        while True:
            try:
                begun = await _patiently(lambda: self._begin(key, command.delivery))
                if isinstance(begun, Outcome):
                    logger.info("command known", command_id=key.id, source=key.source, state=begun.state)
                    return begun
                state, answer = await self._carry_out(begun, command)
                wire = answers.to_wire(answer)
                return await _patiently(lambda: self.outcomes.settle(begun, state, wire))  # noqa: B023 - awaited at once
            except Replaced as error:
                logger.info("another process is at work on it", command_id=key.id, reason=str(error))
                await asyncio.sleep(retry_delay_s(1))

    async def _begin(self, key: CommandKey, delivery: Delivery) -> Begun | Outcome:
        is_new = delivery.number == 1
        if is_new:
            after = await self.log.last_sequence()
        else:
            # Perhaps without a note: whoever had it died before that, or was a version that made none.
            moment = delivery.stored_at - CLOCK_DOUBT
            after = await self.log.sequence_at(moment, timeline=self.timeline)
        return await self.outcomes.begin(key, after=after, is_new=is_new)

    async def _carry_out(self, begun: Begun, command: Command) -> tuple[State, answers.Answered]:
        if begun.attempts > MOST_ATTEMPTS:
            reason = f"the api ended {MOST_ATTEMPTS} times while it carried the command out"
            return self._give_up(command, reason, begun.attempts)
        failures = waits = 0
        while True:
            try:
                answer = await self._once(begun, command)
            except Refused as error:
                self.set_aside.pop(command.about, None)
                logger.info("command refused", command_id=begun.key.id, code=error.code, reason=error.message)
                return State.REFUSED, answers.rejected(command.named, error)
            except Temporary as error:
                waits += 1
                await _wait(waits, error)
            except Exception as error:
                failures += 1
                logger.exception("command failed", command_id=begun.key.id, failures=failures)
                if failures == MOST_FAILURES:
                    return self._give_up(command, f"{type(error).__name__}: {error}", failures)
                await asyncio.sleep(retry_delay_s(failures))
            else:
                self.set_aside.pop(command.about, None)
                logger.info("command done", command_id=begun.key.id, verb=command.verb)
                return State.DONE, answer
            # What just failed may have had its effect.
            begun = replace(begun, is_new=False)

    async def _once(self, begun: Begun, command: Command) -> answers.Done:
        """Raises what `Commands` raises."""
        content = command.content
        if isinstance(content, Exception):
            raise content
        cause = Cause(
            actor=command.actor,
            correlation_id=begun.key.id,
            causation_id=begun.key.id,
            traceparent=telemetry.current_traceparent(),
            causation_source=begun.key.source,
        )
        if isinstance(content, Submission):
            submitted = await self.commands.submit(
                content.spec,
                project_id=command.project_id,
                deployment_id=content.deployment_id,
                cause=cause,
                begun=begun,
            )
            return answers.done(
                command.named, deployment_id=submitted.deployment_id, spec_id=submitted.spec_id
            )
        deleted = await self.commands.delete(
            content.deployment_id, project_id=command.project_id, cause=cause, begun=begun
        )
        return answers.done(command.named, deployment_id=deleted, spec_id=None)

    def _give_up(self, command: Command, reason: str, attempts: int) -> tuple[State, answers.Rejection]:
        logger.error("command given up", command_id=command.named.id, about=command.about, reason=reason)
        whose = f"command {command.named.id} of {command.named.source} was given up"
        self._set_aside(command.about, f"{whose}: {reason}", attempts)
        told = (
            f"the platform could not carry the command out after {attempts} attempts; "
            "the events tell whether it had an effect, and the log of api tells why"
        )
        return State.FAILED, answers.failed(command.named, told)

    def _set_aside(self, about: str, reason: str, attempts: int) -> None:
        while len(self.set_aside) >= MOST_SET_ASIDE:
            self.set_aside.pop(next(iter(self.set_aside)))
        self.set_aside[about] = SetAside(
            subject=about, reason=reason[:500], since=self.clock(), attempts=attempts
        )

    async def _tell(self, command: Command, outcome: Outcome) -> None:
        """A stream that refuses answers holds no commands up: the outcome is remembered, to be asked for."""
        told = answers.message(
            answers.from_wire(outcome.answer, is_done=outcome.state is State.DONE),
            project_id=command.project_id,
            at=outcome.at,
            traceparent=telemetry.current_traceparent(),
        )
        for attempt in range(1, ANSWER_TRIES + 1):
            try:
                await _patiently(lambda: self.publish(told))
                return
            except CannotStore as error:
                logger.warning("answer refused", subject=told.subject, attempt=attempt, error=str(error))
                await asyncio.sleep(retry_delay_s(attempt))
        logger.error("command not answered", command_id=command.named.id, subject=told.subject)


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
