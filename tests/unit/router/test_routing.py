import pytest

from libs.common.cluster.addresses import Addresses
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, SpecRegistered
from libs.common.events.replica import ReplicaState
from libs.common.events.rollout import (
    LiveRun,
    ReplicasRetiring,
    RetireReason,
    RolloutPhase,
    RolloutProgressed,
    SpecApplied,
)
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from services.router.routing import (
    Endpoint,
    Health,
    Leaving,
    Refusal,
    Route,
    make_endpoints,
    make_leaving,
    make_routing,
)
from tests.support.deployments import a_replica, a_roster, a_spec, a_view

CREATED = DeploymentCreated(name="demo")
DELETED = DeploymentDeleted(name="demo")
ADDRESS = "127.0.0.1:5001"


def registered(**spec):
    return SpecRegistered(spec_id="spec-1", run_id="run-1", spec=a_spec(**spec))


def retiring(*replica_ids):
    return ReplicasRetiring(replica_ids=replica_ids, reason=RetireReason.SUPERSEDED)


def withdrawn(*replica_ids):
    return EndpointsWithdrawn(replica_ids=replica_ids, reason=WithdrawReason.IDLE)


@pytest.mark.parametrize(
    ("facts", "route", "endpoints"),
    [
        pytest.param([a_roster(a_replica("r1", None))], None, (), id="unknown"),
        pytest.param([CREATED, registered()], Route("spec-1"), (), id="wants a replica and has none yet"),
        pytest.param(
            [CREATED, registered(enabled=False)], Route("spec-1", Refusal.DISABLED), (), id="disabled"
        ),
        pytest.param(
            [CREATED, registered(replicas=0)], Route("spec-1", Refusal.STOPPED), (), id="wants 0 replicas"
        ),
        pytest.param(
            [CREATED, registered(enabled=False, replicas=0)],
            Route("spec-1", Refusal.DISABLED),
            (),
            id="disabled says more than 0 replicas",
        ),
        pytest.param([CREATED, registered(), DELETED], None, (), id="deleted and empty"),
        pytest.param(
            [CREATED, registered(), a_roster(a_replica("r1", ADDRESS)), DELETED],
            None,
            (Endpoint(ADDRESS, "r1", "spec-1", Health.HEALTHY),),
            id="deleted while a replica may be answering",
        ),
        pytest.param(
            [CREATED, registered(), a_roster(a_replica("r1", ADDRESS)), DELETED, withdrawn("r1")],
            None,
            (),
            id="deleted and withdrawn",
        ),
    ],
)
def test_routing(facts, route, endpoints):
    routing = make_routing(a_view(facts))
    assert (routing.route, routing.endpoints) == (route, endpoints)


@pytest.mark.parametrize(
    ("replica", "facts", "health"),
    [
        pytest.param(a_replica("r1", ADDRESS), [], Health.HEALTHY, id="ready"),
        pytest.param(
            a_replica("r1", ADDRESS, state=ReplicaState.UNREADY), [], Health.UNHEALTHY, id="no longer ready"
        ),
        pytest.param(
            a_replica("r1", ADDRESS, state=ReplicaState.FAILED),
            [],
            Health.UNHEALTHY,
            id="crashed after it served",
        ),
        pytest.param(
            a_replica("r1", ADDRESS, state=ReplicaState.STARTING, was_ready=False), [], None, id="never ready"
        ),
        pytest.param(a_replica("r1", None), [], None, id="without an address"),
        pytest.param(a_replica("r1", ADDRESS), [retiring("r1")], Health.DRAINING, id="leaves while ready"),
        pytest.param(
            a_replica("r1", ADDRESS, state=ReplicaState.UNREADY),
            [retiring("r1")],
            Health.DRAINING,
            id="leaves, not ready, with requests perhaps",
        ),
        pytest.param(
            a_replica("r1", ADDRESS, state=ReplicaState.STARTING, was_ready=False),
            [retiring("r1")],
            None,
            id="leaves before it was ever ready",
        ),
        pytest.param(
            a_replica("r1", ADDRESS), [retiring("r1"), withdrawn("r1")], None, id="withdrawn, still listed"
        ),
        pytest.param(a_replica("r1", ADDRESS), [retiring("r2")], Health.HEALTHY, id="another one leaves"),
    ],
)
def test_endpoints(replica, facts, health):
    endpoints = make_endpoints(a_view([CREATED, registered(), a_roster(replica), *facts]))
    assert [endpoint.health for endpoint in endpoints] == ([health] if health else [])


def test_an_address_belongs_to_the_replica_that_serves():
    """The port of a crashed replica was given to another one."""
    dead = a_replica("r1", ADDRESS, state=ReplicaState.FAILED)
    view = a_view([CREATED, registered(), a_roster(dead, a_replica("r2", ADDRESS))])
    assert [endpoint.replica_id for endpoint in make_endpoints(view)] == ["r2"]


def applied(*runs):
    return SpecApplied(
        spec_id=runs[0][1],
        run_id=runs[0][0],
        runs=tuple(LiveRun(run_id=run_id, spec_id=spec_id) for run_id, spec_id in runs),
    )


@pytest.mark.parametrize(
    ("facts", "spec_id"),
    [
        pytest.param([applied(("run-1", "spec-9"))], "spec-9", id="what its run carries out"),
        pytest.param([applied(("run-2", "spec-9"))], "spec-2", id="the newest spec, when it is of its run"),
        pytest.param([], "spec-2", id="before anything was applied"),
    ],
)
def test_a_replica_names_the_newest_spec_of_its_run(facts, spec_id):
    newest = SpecRegistered(spec_id="spec-2", run_id="run-1", spec=a_spec())
    view = a_view([CREATED, registered(), newest, a_roster(a_replica("r1", ADDRESS)), *facts])
    assert [endpoint.spec_id for endpoint in make_endpoints(view)] == [spec_id]


def test_a_replica_of_a_forgotten_run_names_the_spec_it_was_made_for():
    replica = a_replica("r1", ADDRESS, run_id="run-0", spec_id="spec-0")
    assert make_endpoints(a_view([CREATED, registered(), a_roster(replica)]))[0].spec_id == "spec-0"


@pytest.mark.parametrize(
    ("facts", "leaving"),
    [
        pytest.param([], (), id="nobody is told to leave"),
        pytest.param([retiring("r1")], (Leaving("r1", ADDRESS),), id="one that serves"),
        pytest.param([retiring("r1"), withdrawn("r1")], (), id="withdrawn already"),
        pytest.param([retiring("r9")], (Leaving("r9", None),), id="one that health has not listed yet"),
    ],
)
def test_leaving(facts, leaving):
    view = a_view([CREATED, registered(), a_roster(a_replica("r1", ADDRESS)), *facts])
    assert make_leaving(view) == leaving


def progressed(phase):
    return RolloutProgressed(
        spec_id="spec-1", run_id="run-1", phase=phase, replicas=1, ready_replicas=1, leaving_replicas=0
    )


@pytest.mark.parametrize(
    ("facts", "leaving"),
    [
        pytest.param([RolloutPhase.COMPLETE], (), id="a rollout is complete"),
        pytest.param([RolloutPhase.STOPPED], (), id="nothing is wanted and nothing left"),
        pytest.param([], ("r9",), id="nobody has looked yet"),
        pytest.param([RolloutPhase.RETIRING], ("r9",), id="they are leaving"),
        pytest.param([RolloutPhase.WAITING_FOR_READY], ("r9",), id="others are waited for"),
        pytest.param([RolloutPhase.STALLED], ("r9",), id="others are waited for in vain"),
        pytest.param([RolloutPhase.COMPLETE, RolloutPhase.RETIRING], ("r9",), id="it is there again"),
    ],
)
def test_a_router_that_joins_does_not_withdraw_what_has_left_before(facts, leaving):
    """The list of those told to leave stays in the log until the next one; what the reconciler has seen
    leave is not waited for. One that health does not list may be there all the same."""
    facts = [CREATED, registered(), retiring("r9"), withdrawn("r9"), *map(progressed, facts)]
    assert make_leaving(a_view(facts), router="router-2") == tuple(Leaving(one, None) for one in leaving)


def test_what_health_still_lists_is_withdrawn_whatever_the_phase():
    listed = a_roster(a_replica("r1", ADDRESS))
    view = a_view([CREATED, registered(), listed, retiring("r1"), progressed(RolloutPhase.COMPLETE)])
    assert make_leaving(view) == (Leaving("r1", ADDRESS),)


def test_one_told_to_leave_after_a_complete_rollout_is_withdrawn():
    facts = [progressed(RolloutPhase.COMPLETE), retiring("r1", "r9"), progressed(RolloutPhase.RETIRING)]
    view = a_view([CREATED, registered(), a_roster(a_replica("r1", ADDRESS)), *facts])
    assert make_leaving(view) == (Leaving("r1", ADDRESS), Leaving("r9", None))


@pytest.mark.parametrize(
    "address", ["169.254.169.254:80", "10.0.0.1:5001", "localhost:5001", "127.0.0.1:port", "127.0.0.1:4222"]
)
@pytest.mark.parametrize("retiring", [False, True])
def test_an_address_that_no_replica_can_have_is_no_endpoint(address, retiring):
    facts = [CREATED, registered(), a_roster(a_replica("r1", address), a_replica("r2", ADDRESS))]
    if retiring:
        facts.append(ReplicasRetiring(replica_ids=("r1",), reason=RetireReason.SUPERSEDED))
    addresses = Addresses(inner_ports=frozenset({4222}))
    endpoints = make_routing(a_view(facts), addresses).endpoints
    assert endpoints is not None
    assert [endpoint.replica_id for endpoint in endpoints] == ["r2"]
