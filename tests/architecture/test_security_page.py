"""The page that says who may do what has every user and every stream, and says of each what the code says."""

import pytest

from libs.common.bus import server_health, subjects
from libs.common.events.envelope import ROOT as FACTS
from libs.common.log.filters import overlap
from libs.common.log.streams import make_streams
from libs.common.services import SERVICES
from libs.common.state.aggregates import written_by
from libs.supervisor import nats_config
from libs.supervisor.users import COMMANDS_USER, MIRROR_USER
from tests.support.security_page import names, table

USERS = table("Users of the broker")
STREAMS = table("Every stream")
FILES = table("Every file")

PLANS = {str(plan.wanted.name): plan.wanted for plan in make_streams(replicas=1)}
TOLD_APART = (*SERVICES, COMMANDS_USER)
"""The others may do everything in their account, or nothing with a stream."""

READS = ("STREAM.MSG.GET", "DIRECT.GET", "CONSUMER.CREATE", "CONSUMER.MSG.NEXT")


def writers(stream: str) -> set[str]:
    taken = PLANS[stream].subjects or []
    return {
        user
        for user in TOLD_APART
        for said in nats_config.permissions_of(user).publish
        if any(overlap(said, subject) for subject in taken)
    }


def readers(stream: str) -> set[str]:
    """Who asks the stream for what it has, or hears it as it is stored."""
    asks = tuple(f"$JS.API.{verb}.{stream}" for verb in READS)
    stored = [f"{FACTS}.>"] if stream == subjects.EVENTS_STREAM else PLANS[stream].subjects or []
    found = set()
    for user in TOLD_APART:
        allowed = nats_config.permissions_of(user)
        is_asking = any(said == one or said.startswith(f"{one}.") for said in allowed.publish for one in asks)
        if is_asking or any(overlap(heard, one) for heard in allowed.subscribe for one in stored):
            found.add(user)
    return found


def test_every_user_has_a_row_and_every_stream():
    assert set(USERS) == {*nats_config.USERS, *nats_config.SYSTEM_USERS}
    assert set(STREAMS) == set(PLANS)


@pytest.mark.parametrize("user", SERVICES)
def test_the_row_of_a_service_has_its_facts_and_its_lease(user):
    _, appends, beside = USERS[user]
    assert set(names(appends)) == {kind.name for kind in written_by(user)}
    assert names(beside) == ([user] if user in nats_config.LEADS else [])


@pytest.mark.parametrize("user", [MIRROR_USER, COMMANDS_USER, server_health.USER])
def test_nobody_else_appends(user):
    assert USERS[user][1] == "nothing"


@pytest.mark.parametrize("stream", PLANS)
def test_the_row_of_a_stream_has_who_writes_and_who_reads(stream):
    written, read = STREAMS[stream]
    assert (set(names(written)), set(names(read))) == (writers(stream), readers(stream))


def test_the_seed_of_every_user_is_among_the_files():
    seeds = {path for path in FILES if path.endswith(".nk")}
    assert seeds == {f"nats/{user}.nk" for user in USERS}
