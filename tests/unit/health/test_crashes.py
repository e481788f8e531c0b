"""A crash is one change of a replica, and being ready again another, in however many pieces it is seen."""

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.common.cluster.port import Exit, ObservedReplica
from libs.common.state.replica import Roster, record
from services.health.examination import Conclusion, NotReady, Undecided
from services.health.verdicts import decide
from tests.unit.health.scene import EXITED, FAILING, NOW, READY, RUN, SENTENCE, Reason, shown

CRASHED = Exit(status=1)
BEGUN = shown(RUN, attempt=1, last_exit=CRASHED)
NOT_YET = NotReady(Reason.PROBE_FAILED, "the readiness check does not succeed")
UNDECIDED = Undecided()
ENDED = shown(EXITED, last_exit=CRASHED)

Look = tuple[ObservedReplica, Conclusion]


def remembered(*looks: Look, every_s: float = 10) -> int:
    """How many changes are remembered of a replica that has become ready, and then is seen so."""
    roster, now = Roster(), NOW
    for seen, conclusion in ((shown(RUN), NOT_YET), (shown(RUN), READY), *looks):
        now += timedelta(seconds=every_s)
        facts = decide(roster, [seen], {("r", seen.attempt): conclusion}, now=now)
        _, roster = record(roster, facts)
    return len(roster.replicas[0].changed_at)


def test_only_that_it_is_ready_counts_of_its_beginning() -> None:
    assert remembered() == 1


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param(((ENDED, UNDECIDED), (BEGUN, UNDECIDED)), id="on this machine"),
        pytest.param(
            ((shown(RUN), FAILING), (ENDED, UNDECIDED), (BEGUN, FAILING)), id="its check fails first"
        ),
        pytest.param(((shown(RUN), SENTENCE), (ENDED, UNDECIDED), (BEGUN, UNDECIDED)), id="it is condemned"),
        pytest.param(((ENDED, UNDECIDED), (BEGUN, NOT_YET)), id="by its pod"),
        pytest.param(((BEGUN, NOT_YET),), id="by its pod, at once"),
        pytest.param(
            ((shown(RUN), NOT_YET), (ENDED, UNDECIDED), (BEGUN, NOT_YET)),
            id="by its pod, which is not ready first",
        ),
        pytest.param(
            ((replace(ENDED, message="back-off"), UNDECIDED), (BEGUN, NOT_YET)),
            id="by its pod, after a pause",
        ),
    ],
)
@pytest.mark.parametrize("every_s", [0, 10])
def test_a_crash_counts_once(looks: tuple[Look, ...], every_s: float) -> None:
    assert remembered(*looks, every_s=every_s) == 2
    assert remembered(*looks, (BEGUN, READY), every_s=every_s) == 3


def test_every_end_of_what_is_not_ready_yet_counts() -> None:
    ends = [
        look
        for attempt in range(1, 4)
        for look in (
            (shown(EXITED, attempt=attempt, last_exit=CRASHED), UNDECIDED),
            (shown(RUN, attempt=attempt + 1, last_exit=CRASHED), NOT_YET),
        )
    ]
    assert remembered((BEGUN, NOT_YET), *ends) == 2 + 3


def because(code: int) -> Conclusion:
    return NotReady(Reason.PROBE_FAILED, f"readiness check: status {code}")


def test_why_one_that_begins_is_not_ready_yet_never_counts() -> None:
    assert remembered((BEGUN, NOT_YET), (BEGUN, because(500)), (BEGUN, because(503))) == 2


def test_another_reason_counts_unless_it_is_what_is_said_of_the_change() -> None:
    told_so = [(shown(RUN), because(code)) for code in (500, 503)]
    assert remembered((shown(RUN), NOT_YET), *told_so, every_s=2) == 2
    assert remembered((shown(RUN), NOT_YET), *told_so, every_s=10) == 4
