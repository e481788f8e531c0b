"""Given what the log says of a deployment and its name, when somebody asks, then these facts."""

import pytest

from libs.common.cluster.abilities import KUBERNETES, LOCAL
from libs.common.cluster.offer import Offer
from libs.common.errors import AppendConflict, BadRequest, Conflict, NotFound
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, GitHeaders, SpecRegistered
from libs.common.events.envelope import Aggregate, Draft
from libs.common.events.name import NameClaimed, NameReleased
from libs.common.ids import name_key
from libs.common.machine_types.catalogue import MachineType
from libs.common.spec.template import make_template, run_id
from libs.common.state.deployment import DeploymentState
from services.api.commands.decision import Decision
from services.api.commands.deployment import (
    Delete,
    Rollback,
    Submit,
    SubmitState,
    Submitted,
    decide_delete,
    decide_rollback,
    decide_submit,
)
from tests.support.deployments import a_spec
from tests.support.specs import KUBERNETES_OFFER

MINE, OTHER = "a" * 32, "b" * 32
SMALL_ONLY = Offer(
    {"small": MachineType.model_validate({"name": "small", "cpus": 1.0, "memoryGib": 1.0})}, KUBERNETES
)


def deployment(*, name: str = "demo", deployment_id: str = MINE, **changes) -> DeploymentState:
    spec = a_spec(name=name)
    facts = {"spec": spec, "spec_id": "s1", "run_id": run_id(make_template(spec)), "is_created": True}
    return DeploymentState("default", deployment_id, **{"name": name, **facts, **changes})


def state(**parts) -> SubmitState:
    return SubmitState(**{"project_exists": True, "project_sequence": 7, **parts})


def submit(spec=None, **parts) -> Submit:
    return Submit("default", spec or a_spec(), **{"new_deployment_id": "new", "new_spec_id": "s2", **parts})


def name(text: str) -> Aggregate:
    return Aggregate("default", "name", name_key("default", text))


def held(text: str, owner_id: str) -> dict[str, str]:
    return {"parent": "default", "name": text, "owner_id": owner_id}


def of_deployment(fact, deployment_id: str = MINE) -> Draft:
    return Draft(Aggregate("default", "deployment", deployment_id), fact)


def new_spec(spec=None, **more) -> SpecRegistered:
    spec = spec or a_spec()
    return SpecRegistered(spec_id="s2", run_id=run_id(make_template(spec)), spec=spec, **more)


@pytest.mark.parametrize(
    ("given", "when", "then", "answer"),
    [
        pytest.param(
            state(),
            submit(git=GitHeaders(sha="1")),
            (
                Draft(name("demo"), NameClaimed(**held("demo", "new"))),
                of_deployment(DeploymentCreated(name="demo"), "new"),
                of_deployment(new_spec(git=GitHeaders(sha="1")), "new"),
            ),
            ("new", "s2"),
            id="a free name makes a deployment",
        ),
        pytest.param(
            state(name_owner=MINE, target=deployment()),
            submit(a_spec(replicas=3)),
            (of_deployment(new_spec(a_spec(replicas=3))),),
            (MINE, "s2"),
            id="a held name gives its holder the spec",
        ),
        pytest.param(
            state(name_owner=MINE, target=deployment()),
            submit(git=GitHeaders(sha="1")),
            (),
            (MINE, "s1"),
            id="an identical spec registers nothing, whatever git says",
        ),
        pytest.param(
            state(target=deployment()),
            submit(a_spec(name="new name"), deployment_id=MINE),
            (
                Draft(name("demo"), NameReleased(**held("demo", MINE))),
                Draft(name("new name"), NameClaimed(**held("new name", MINE))),
                of_deployment(new_spec(a_spec(name="new name"))),
            ),
            (MINE, "s2"),
            id="an id with a free name renames",
        ),
        pytest.param(
            state(name_owner=MINE, target=deployment()),
            submit(deployment_id=MINE),
            (),
            (MINE, "s1"),
            id="an id with its own name and spec registers nothing",
        ),
    ],
)
def test_a_submission_is_accepted(given, when, then, answer):
    decision = decide_submit(given, when, KUBERNETES_OFFER)
    assert decision.drafts == then
    assert decision.answer == Submitted(*answer)


@pytest.mark.parametrize(
    ("given", "when", "error", "path"),
    [
        pytest.param(state(project_exists=False), submit(), NotFound, ("projectId",), id="no such project"),
        pytest.param(state(), submit(deployment_id=MINE), NotFound, ("deploymentId",), id="an unknown id"),
        pytest.param(
            state(target=deployment(is_deleted=True)),
            submit(deployment_id=MINE),
            NotFound,
            ("deploymentId",),
            id="the id of a deleted one",
        ),
        pytest.param(
            state(name_owner=OTHER, target=deployment()),
            submit(deployment_id=MINE),
            Conflict,
            ("config", "name"),
            id="a rename to a taken name",
        ),
    ],
)
def test_a_submission_is_refused(given, when, error, path):
    with pytest.raises(error) as refused:
        decide_submit(given, when, KUBERNETES_OFFER)
    assert refused.value.issues[0].path == path


def test_a_deployment_cannot_be_moved_to_another_project():
    command = Submit("f" * 32, a_spec(), "new", "s2", deployment_id=MINE)
    with pytest.raises(BadRequest) as refused:
        decide_submit(state(target=deployment()), command, KUBERNETES_OFFER)
    assert refused.value.issues[0].path == ("projectId",)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(state(name_owner=MINE), id="the holder of the name has no events"),
        pytest.param(
            state(name_owner=MINE, target=deployment(is_deleted=True)), id="the holder was deleted meanwhile"
        ),
        pytest.param(
            state(name_owner=MINE, target=deployment(name="else")), id="the holder was renamed meanwhile"
        ),
    ],
)
def test_parts_of_different_times_are_read_again(given):
    with pytest.raises(AppendConflict):
        decide_submit(given, submit(), KUBERNETES_OFFER)


def test_a_first_submission_rests_on_the_project():
    decision = decide_submit(state(), submit(), KUBERNETES_OFFER)
    assert [(guard.filter, guard.sequence) for guard in decision.guards] == [
        ("events.default.project.default.>", 7)
    ]


def test_a_change_of_name_or_replicas_keeps_the_run():
    target = deployment()
    renamed = (
        decide_submit(
            state(target=target), submit(a_spec(name="x", replicas=5), deployment_id=MINE), KUBERNETES_OFFER
        )
        .drafts[-1]
        .fact
    )
    assert isinstance(renamed, SpecRegistered)
    assert renamed.run_id == target.run_id


def test_a_deletion_releases_the_name():
    deleted = of_deployment(DeploymentDeleted(name="demo"))
    released = Draft(name("demo"), NameReleased(**held("demo", MINE)))
    assert decide_delete(deployment(), Delete(MINE)) == Decision(MINE, (deleted, released))


@pytest.mark.parametrize(
    ("target", "command"),
    [
        pytest.param(None, Delete(MINE), id="unknown"),
        pytest.param(deployment(is_deleted=True), Delete(MINE), id="deleted before"),
        pytest.param(deployment(), Delete(MINE, "f" * 32), id="in another project"),
    ],
)
def test_a_deletion_is_refused(target, command):
    with pytest.raises(NotFound):
        decide_delete(target, command)


def registered(spec_id: str, **spec) -> SpecRegistered:
    return SpecRegistered(spec_id=spec_id, run_id="r", spec=a_spec(**spec), git=GitHeaders(sha=spec_id))


def test_a_rollback_registers_the_old_content_under_the_present_name():
    earlier = registered("s0", name="old name", replicas=4)
    again = new_spec(a_spec(replicas=4), git=GitHeaders(sha="s0"), rolled_back_from="s0")
    decision = decide_rollback(deployment(), earlier, Rollback(MINE, "s0", "s2"), KUBERNETES_OFFER)
    assert decision == Decision(Submitted(MINE, "s2"), (of_deployment(again),))


def test_a_rollback_to_the_present_content_registers_nothing():
    decision = decide_rollback(deployment(), registered("s1"), Rollback(MINE, "s1", "s2"), Offer({}, LOCAL))
    assert (decision.drafts, decision.answer.spec_id) == ((), "s1")


def test_a_rollback_to_a_machine_type_that_is_gone_is_refused():
    with pytest.raises(BadRequest) as error:
        decide_rollback(deployment(), registered("s0", replicas=4), Rollback(MINE, "s0", "s2"), SMALL_ONLY)
    (issue,) = error.value.issues
    assert (issue.path[-1], issue.value, issue.allowed) == ("machineType", "C4", ["small"])


@pytest.mark.parametrize(
    ("target", "earlier"),
    [
        pytest.param(deployment(), None, id="the deployment never had the spec"),
        pytest.param(deployment(), registered("s1"), id="the spec is another one"),
        pytest.param(None, registered("elsewhere"), id="the deployment is unknown"),
        pytest.param(deployment(is_deleted=True), registered("elsewhere"), id="the deployment is deleted"),
    ],
)
def test_a_rollback_is_refused(target, earlier):
    with pytest.raises(NotFound):
        decide_rollback(target, earlier, Rollback(MINE, "elsewhere", "s2"), KUBERNETES_OFFER)
