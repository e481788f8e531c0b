"""Texts in facts are bounded, wherever they come from."""

from hypothesis import given
from hypothesis import strategies as st

from libs.common.events.catalogue import decode, encode
from libs.common.events.replica import ReplicaReason, ReplicaStopped
from libs.common.events.rollout import SpecFailed, SpecFailedReason
from libs.common.events.text import LONGEST, bounded
from tests.support.deployments import a_replica

LONG = "x" * 130_000


@given(st.text(max_size=600))
def test_a_text_is_never_longer_and_bounding_twice_changes_nothing(text: str) -> None:
    assert len(bounded(text)) <= LONGEST
    assert bounded(bounded(text)) == bounded(text)
    assert bounded(text) == text or len(text) > LONGEST


def test_what_is_left_out_is_counted() -> None:
    assert bounded(LONG) == "x" * 224 + "… (+129,776 characters)"
    assert len(bounded("x" * 10_000_000)) <= LONGEST


def test_messages_of_facts_are_bounded_when_they_are_made_and_when_they_are_read() -> None:
    failed = SpecFailed(spec_id="s", reason=SpecFailedReason.CANNOT_APPLY, message=LONG)
    assert failed.message == bounded(LONG)
    replica = a_replica("r", None).model_copy(update={"message": LONG})
    stopped = ReplicaStopped(replica_id="r", replica=replica, reason=ReplicaReason.EXITED, message=LONG)
    assert stopped.message == bounded(LONG)
    _, read = decode("ReplicaStopped", encode(stopped))
    assert isinstance(read, ReplicaStopped)
    assert read.replica is not None
    assert read.replica.message == bounded(LONG)
