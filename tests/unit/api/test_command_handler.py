"""One effect and one answer for each command, over a log and entries in memory."""

import json
from datetime import timedelta

import pytest
from pydantic import ValidationError

from libs.common.bus.entries import MemoryEntries
from libs.common.errors import LogUnavailable
from libs.common.events.envelope import Cause
from libs.common.log.memory import MemoryLog
from services.api.commands.outcomes import Begun, CommandKey, State
from services.api.edge.command_handler import MOST_ATTEMPTS, MOST_DELIVERIES
from tests.support.rest import a_config
from tests.support.specs import parse_spec
from tests.unit.api.command_stage import NOW, CutLog, Stage, SteppingClock, a_submission


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_command_that_is_done_is_answered(stage: Stage):
    answer = await stage.send("42", a_submission())
    [subject, _, headers] = stage.told[-1]
    assert subject == "commands.default.done"
    [registered] = [e async for e in stage.log.read("events.>") if e.type == "SpecRegistered"]
    assert answer == {
        "commandId": "42",
        "commandSource": "/ci",
        "deploymentId": registered.aggregate.id,
        "specId": registered.data["spec_id"],
    }
    assert (headers["ce-type"], headers["ce-causationid"], headers["ce-causationsource"]) == (
        "specstream.command.done",
        "42",
        "/ci",
    )
    deleted = await stage.send("43", {"deploymentId": registered.aggregate.id}, verb="delete")
    assert deleted["specId"] is None


async def test_the_actor_is_who_publishes_and_the_source_stands_apart(stage: Stage):
    await stage.send("42", a_submission(), source="key:default")
    [cause] = {event.cause async for event in stage.log.read("events.>")}
    assert (cause.actor, cause.causation_source, cause.causation_id) == (
        "command:commands",
        "key:default",
        "42",
    )


async def test_two_sources_may_use_the_same_id(stage: Stage):
    await stage.send("42", a_submission(1), source="/a")
    await stage.send("42", a_submission(2), source="/b")
    assert await stage.replicas() == [1, 2]


@pytest.mark.parametrize("first", ["changed", "no change", "refused", "malformed"])
async def test_a_repeat_does_not_revert_what_came_between(stage: Stage, first: str):
    a, verb = {
        "changed": (a_submission(1), "submit"),
        "no change": (a_submission(9), "submit"),
        "refused": ({"deploymentId": "0" * 32}, "delete"),
        "malformed": (b"{", "submit"),
    }[first]
    await stage.send("0", a_submission(9))
    answered = await stage.send("A", a, verb=verb)
    told_first = stage.told[-1]
    await stage.send("B", a_submission(2))
    before = await stage.replicas()
    assert await stage.send("A", a, verb=verb) == answered
    assert await stage.replicas() == before
    assert before[-1] == 2
    subject, body, headers = stage.told[-1]
    assert (subject, body) == told_first[:2]
    assert {k: v for k, v in headers.items() if k != "traceparent"} == {
        k: v for k, v in told_first[2].items() if k != "traceparent"
    }


async def test_what_was_refused_stays_refused_when_its_reason_is_gone(stage: Stage):
    await stage.commands.create_project("other", cause=Cause("key:default", "c"))
    await stage.send("1", a_submission(1, "held"))
    second = await stage.send("2", a_submission(1, "free"))
    rename = {**a_submission(1, "held"), "deploymentId": second["deploymentId"]}
    refused = await stage.send("3", rename)
    assert refused["code"] == "CONFLICT"
    holder = stage.told[0][1]["deploymentId"]
    await stage.send("4", {"deploymentId": holder}, verb="delete")
    assert await stage.send("3", rename) == refused
    assert (await stage.send("5", rename))["deploymentId"] == second["deploymentId"]


async def test_a_repeat_with_other_content_gets_the_first_answer(stage: Stage):
    first = await stage.send("42", a_submission(1))
    assert await stage.send("42", a_submission(2)) == first
    assert await stage.send("42", {"deploymentId": first["deploymentId"]}, verb="delete") == first
    assert await stage.replicas() == [1]


async def test_what_was_appended_before_its_outcome_was_known_is_not_appended_again(stage: Stage):
    """The answer is what the events say; others changed the same deployment since."""
    begun = await stage.outcomes.begin(CommandKey("/ci", "A"), after=0, is_new=True)
    assert isinstance(begun, Begun)
    cause = Cause("command:commands", "A", "A", None, "/ci")
    spec = await _submitted(stage, begun, cause)
    await stage.send("B", a_submission(2))
    assert (await stage.send("A", a_submission(1), again=1))["specId"] == spec.spec_id
    assert await stage.replicas() == [1, 2]


async def test_what_was_deleted_before_its_outcome_was_known_is_answered_as_deleted(stage: Stage):
    made = await stage.send("1", a_submission())
    begun = await stage.outcomes.begin(
        CommandKey("/ci", "A"), after=await stage.log.last_sequence(), is_new=True
    )
    assert isinstance(begun, Begun)
    cause = Cause("command:commands", "A", "A", None, "/ci")
    await stage.commands.delete(made["deploymentId"], cause=cause, begun=begun)
    again = await stage.send("A", {"deploymentId": made["deploymentId"]}, verb="delete", again=2)
    assert again["deploymentId"] == made["deploymentId"]


async def test_a_name_that_went_to_another_meanwhile_hides_nothing(stage: Stage):
    """A's deployment is renamed by others, and its name taken by another one, before A is looked at again."""
    begun = await stage.outcomes.begin(CommandKey("/ci", "A"), after=0, is_new=True)
    assert isinstance(begun, Begun)
    spec = await _submitted(stage, begun, Cause("command:commands", "A", "A", None, "/ci"))
    renamed = {**a_submission(1, "elsewhere"), "deploymentId": spec.deployment_id}
    await stage.send("B", renamed)
    await stage.send("C", a_submission(3))
    assert (await stage.send("A", a_submission(1), again=1))["deploymentId"] == spec.deployment_id
    assert await stage.replicas() == [1, 1, 3]


@pytest.mark.parametrize(
    "actor", [("command:commands", "/ci"), ("/ci", None)], ids=["now", "earlier version"]
)
async def test_a_command_without_a_note_that_was_carried_out_is_known_by_its_events(stage: Stage, actor):
    """As after a crash of a version that made no notes."""
    key = CommandKey("/ci", "A")
    begun = Begun(key, 0, 0, 1, is_new=True)
    await _submitted(stage, begun, Cause(actor[0], "A", "A", None, actor[1]))
    await stage.send("B", a_submission(2))
    await stage.send("A", a_submission(1), again=1)
    assert await stage.replicas() == [1, 2]


async def test_it_is_known_too_when_the_clock_has_stepped_back_since():
    """The events after the step are many, and all seem older than the command."""
    clock = SteppingClock(NOW)
    stage = Stage(CutLog(MemoryLog(clock)))
    await _submitted(
        stage, Begun(CommandKey("/ci", "A"), 0, 0, 1, is_new=True), Cause("c", "A", "A", None, "/ci")
    )
    clock.now -= timedelta(hours=1)
    for replicas in range(2, 9):
        await stage.send(f"later {replicas}", a_submission(replicas))
    before = await stage.replicas()
    async for event in stage.log.read("events.>"):
        stage.handler.timeline.note(event.sequence, event.time)
    await stage.send("A", a_submission(1), again=1)
    assert await stage.replicas() == before


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [LogUnavailable("away"), RuntimeError("a bug")], ids=["away", "bug"])
async def test_what_fails_once_is_done_once(stage: Stage, when: str, error: Exception):
    getattr(stage.log, when).append(error)
    answer = await stage.send("A", a_submission(1))
    assert stage.told[-1][0] == "commands.default.done"
    assert await stage.replicas() == [1]
    assert await stage.send("A", a_submission(1)) == answer


async def test_what_fails_again_and_again_is_given_up_and_said_so(stage: Stage):
    stage.log.before = [RuntimeError("a bug")] * 3
    answer = await stage.send("A", a_submission(1))
    assert stage.told[-1][0] == "commands.default.rejected"
    assert answer["code"] == "INTERNAL_SERVER_ERROR"
    assert "a bug" not in answer["message"]
    [aside] = stage.handler.set_aside.values()
    assert (aside.subject, aside.attempts) == ("demo", 3)
    assert "RuntimeError: a bug" in aside.reason
    assert "command A of /ci" in aside.reason
    assert await stage.send("A", a_submission(1)) == answer
    assert await stage.replicas() == []
    await stage.send("B", a_submission(2))
    assert stage.handler.set_aside == {}
    assert await stage.send("A", a_submission(1)) == answer
    assert await stage.replicas() == [2]


async def test_what_ends_the_process_again_and_again_is_given_up(stage: Stage):
    for _ in range(MOST_ATTEMPTS):
        await stage.outcomes.begin(CommandKey("/ci", "A"), after=0, is_new=True)
    answer = await stage.send("A", a_submission(1), again=1)
    assert answer["code"] == "INTERNAL_SERVER_ERROR"
    assert await stage.replicas() == []
    assert list(stage.handler.set_aside) == ["demo"]


async def test_a_log_that_is_away_is_waited_for(stage: Stage):
    stage.log.before = [LogUnavailable("away")] * 4
    await stage.send("A", a_submission(1))
    assert await stage.replicas() == [1]
    assert stage.handler.set_aside == {}


async def test_without_room_a_submission_is_refused_so_that_a_delete_behind_it_is_carried_out(stage: Stage):
    await stage.send("A", a_submission(1))
    deployment_id = stage.told[-1][1]["deploymentId"]
    stage.handler.commands.condition.refused = "as on a full disk"
    await stage.send("B", a_submission(2))
    assert stage.told[-1][0] == "commands.default.rejected"
    assert stage.told[-1][1]["code"] == "INSUFFICIENT_STORAGE"
    await stage.send("C", {"deploymentId": deployment_id}, verb="delete")
    assert stage.told[-1][0] == "commands.default.done"


async def test_an_answer_that_the_stream_refuses_holds_nobody_up(stage: Stage):
    stage.refusals = 3
    await stage.send("1", a_submission(3, "other"))
    assert stage.told == []
    assert await stage.replicas() == [3]
    await stage.send("1", a_submission(3, "other"))
    assert stage.told[-1][1]["commandId"] == "1"


async def test_what_fails_where_nothing_can_be_answered_is_dropped_in_the_end(stage: Stage):
    """Here what was noted of it cannot be read: it must not hold all others up for ever."""
    await stage.entries.put(CommandKey("/ci", "A").entry, b"not a record", after=0)
    for number in range(1, MOST_DELIVERIES):
        with pytest.raises(ValidationError):
            await stage.send("A", a_submission(), again=7, deliveries=number)
    await stage.send("A", a_submission(), again=7, deliveries=MOST_DELIVERIES)
    assert stage.state is State.FAILED
    assert list(stage.handler.set_aside) == ["message 7"]


async def test_whoever_is_overtaken_gives_the_answer_of_the_other(stage: Stage):
    """Two processes at work on one command: the first one was taken for dead."""
    key = CommandKey("/ci", "A")
    slow = await stage.outcomes.begin(key, after=0, is_new=True)
    quick = await stage.outcomes.begin(key, after=0, is_new=True)
    assert isinstance(slow, Begun)
    assert isinstance(quick, Begun)
    assert (slow.is_new, quick.is_new) == (True, False)
    settled = await stage.outcomes.settle(quick, State.REFUSED, {"code": "CONFLICT"})
    assert await stage.outcomes.settle(slow, State.DONE, {"deploymentId": "d"}) == settled


async def test_what_cannot_be_known_again_is_refused_each_time(stage: Stage):
    answer = await stage.send("42", a_submission(), source="")
    assert (answer["commandId"], answer["issues"][0]["path"]) == ("42", ["source"])
    assert stage.entries == MemoryEntries()


async def test_a_refusal_is_not_longer_than_an_answer_may_be(stage: Stage):
    data = {"config": {**a_config(), **{f"x{n}{'y' * 200}": "z" * 1000 for n in range(99)}}}
    answer = await stage.send("long", data)
    assert len(answer["issues"]) == 99
    assert all(len(str(issue["value"])) < 300 for issue in answer["issues"])
    answer = await stage.send("longer", {"config": a_config(), "k" * 100_000: 1})
    assert len(json.dumps(answer)) < 64 * 1024


async def _submitted(stage: Stage, begun: Begun, cause: Cause):
    return await stage.commands.submit(
        parse_spec(a_config(replicas=1)), project_id="default", cause=cause, begun=begun
    )
