"""Decisions about deployments: submit, delete, roll back. Pure: ids of what is new come with the command."""

from dataclasses import dataclass

from libs.common.cluster.offer import Offer
from libs.common.errors import AppendConflict, BadRequest, Conflict, Issue, NotFound
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, GitHeaders, SpecRegistered
from libs.common.events.envelope import Draft
from libs.common.events.name import NameClaimed, NameReleased
from libs.common.log.port import Guard
from libs.common.scaling.in_force import stretch_of
from libs.common.spec.model import Spec
from libs.common.spec.parse import refused
from libs.common.spec.template import make_template, run_id
from libs.common.state.deployment import DeploymentState
from services.api.commands.decision import (
    Decision,
    deployment_aggregate,
    name_aggregate,
    project_aggregate,
)


@dataclass(frozen=True, slots=True)
class Submit:
    project_id: str
    spec: Spec
    new_deployment_id: str
    """The id of the deployment, if one is made."""
    new_spec_id: str
    """The id of the spec, if one is registered."""
    deployment_id: str | None = None
    """Given by the caller; it wins over the name."""
    git: GitHeaders | None = None


@dataclass(frozen=True, slots=True)
class SubmitState:
    """project_exists, project_sequence: of the command's project. name_owner: the holder of the spec's name.

    target: the deployment that the command names or, if it names none, the holder of the name.
    """

    project_exists: bool
    project_sequence: int
    name_owner: str | None = None
    target: DeploymentState | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    deployment_id: str
    spec_id: str


def decide_submit(state: SubmitState, command: Submit, offer: Offer) -> Decision[Submitted]:
    """Upsert by name within the project.

    | deployment_id        | the spec's name is held by | then                                        |
    |----------------------|----------------------------|---------------------------------------------|
    | unknown, deleted     | -                          | NotFound                                    |
    | of another project   | -                          | BadRequest naming projectId                 |
    | known                | another deployment         | Conflict                                    |
    | known                | nobody                     | renamed: released, claimed, registered      |
    | known, or none given | the same                   | registered; nothing if the spec is the same |
    | none given           | nobody                     | claimed, created, registered                |

    Raises BadRequest for a spec that asks for more than the offer, and AppendConflict when the parts of the
    state were read at different times and do not fit.
    """
    if command.deployment_id is not None:
        named = _existing(state.target, command.deployment_id)
        if named.project_id != command.project_id:
            raise BadRequest(
                "A deployment cannot be moved to another project",
                [
                    Issue(
                        ("projectId",),
                        "the deployment belongs to another project",
                        command.project_id,
                        [named.project_id],
                    )
                ],
            )
    if not state.project_exists:
        raise NotFound(
            "There is no such project", [Issue(("projectId",), "no such project", command.project_id)]
        )
    if command.deployment_id is not None and state.name_owner not in (None, command.deployment_id):
        raise name_taken(("config", "name"), command.spec.name)
    target = state.target
    before = target.spec if target is not None and target.exists else None
    if issues := offer.issues(command.spec, before):
        raise refused([issue.under("config") for issue in issues])
    if state.name_owner is None and command.deployment_id is None:
        return _create(state, command)

    if target is None or not target.exists:
        raise AppendConflict(f"the holder of the name is gone: {state.name_owner}")
    is_rename = target.name != command.spec.name
    if is_rename and command.deployment_id is None:
        raise AppendConflict(f"the holder of the name has another one by now: {target.deployment_id}")
    if target.spec == command.spec and target.spec_id:
        return Decision(Submitted(target.deployment_id, target.spec_id))

    registered = Draft(
        deployment_aggregate(target.project_id, target.deployment_id),
        SpecRegistered(
            spec_id=command.new_spec_id,
            run_id=run_id(make_template(command.spec)),
            spec=command.spec,
            git=command.git,
            scaling_since=_stretch(command.spec, command.new_spec_id, target),
        ),
    )
    renamed = _rename(target, command.spec.name) if is_rename else ()
    return Decision(Submitted(target.deployment_id, command.new_spec_id), (*renamed, registered))


def _create(state: SubmitState, command: Submit) -> Decision[Submitted]:
    name, deployment_id = command.spec.name, command.new_deployment_id
    deployment = deployment_aggregate(command.project_id, deployment_id)
    drafts = (
        Draft(
            name_aggregate(command.project_id, name),
            NameClaimed(parent=command.project_id, name=name, owner_id=deployment_id),
        ),
        Draft(deployment, DeploymentCreated(name=name)),
        Draft(
            deployment,
            SpecRegistered(
                spec_id=command.new_spec_id,
                run_id=run_id(make_template(command.spec)),
                spec=command.spec,
                git=command.git,
                scaling_since=_stretch(command.spec, command.new_spec_id, None),
            ),
        ),
    )
    # A project that is deleted meanwhile must not get a deployment.
    guard = Guard(project_aggregate(command.project_id).filter, state.project_sequence)
    return Decision(Submitted(deployment_id, command.new_spec_id), drafts, (guard,))


def _rename(target: DeploymentState, name: str) -> tuple[Draft, Draft]:
    project_id, owner_id = target.project_id, target.deployment_id
    return (
        Draft(
            name_aggregate(project_id, target.name),
            NameReleased(parent=project_id, name=target.name, owner_id=owner_id),
        ),
        Draft(name_aggregate(project_id, name), NameClaimed(parent=project_id, name=name, owner_id=owner_id)),
    )


@dataclass(frozen=True, slots=True)
class Delete:
    deployment_id: str
    project_id: str | None = None
    """Where the caller believes it to be; None when it does not say."""


def decide_delete(target: DeploymentState | None, command: Delete) -> Decision[str]:
    """Deleted, and its name is free again. Raises NotFound for one that is unknown, deleted or elsewhere."""
    deployment = _existing(target, command.deployment_id)
    if command.project_id not in (None, deployment.project_id):
        raise deployment_not_found(command.deployment_id)
    project_id, name = deployment.project_id, deployment.name
    return Decision(
        deployment.deployment_id,
        (
            Draft(deployment_aggregate(project_id, deployment.deployment_id), DeploymentDeleted(name=name)),
            Draft(
                name_aggregate(project_id, name),
                NameReleased(parent=project_id, name=name, owner_id=deployment.deployment_id),
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class Rollback:
    deployment_id: str
    spec_id: str
    new_spec_id: str
    git: GitHeaders | None = None


def decide_rollback(
    target: DeploymentState | None,
    earlier: SpecRegistered | None,
    command: Rollback,
    offer: Offer,
) -> Decision[Submitted]:
    """Register the content of an earlier spec again, as a new spec, under the present name.

    earlier: the spec that the command names; None where the deployment never had it. Content equal to the
    present one registers nothing and answers the present spec. Raises NotFound for a deployment or a spec of
    it that is not there, BadRequest for a spec that asks for more than the offer.
    """
    deployment = _existing(target, command.deployment_id)
    if earlier is None or earlier.spec_id != command.spec_id:
        raise NotFound(
            "The deployment has no such spec",
            [Issue(("specId",), "no such spec of this deployment", command.spec_id)],
        )
    spec = earlier.spec.model_copy(update={"name": deployment.name})
    if spec == deployment.spec and deployment.spec_id:
        return Decision(Submitted(deployment.deployment_id, deployment.spec_id))
    if issues := offer.issues(spec, deployment.spec):
        raise refused([issue.under("specId") for issue in issues])
    registered = SpecRegistered(
        spec_id=command.new_spec_id,
        run_id=run_id(make_template(spec)),
        spec=spec,
        git=command.git or earlier.git,
        rolled_back_from=earlier.spec_id,
        scaling_since=_stretch(spec, command.new_spec_id, deployment),
    )
    aggregate = deployment_aggregate(deployment.project_id, deployment.deployment_id)
    return Decision(Submitted(deployment.deployment_id, command.new_spec_id), (Draft(aggregate, registered),))


def _stretch(spec: Spec, spec_id: str, before: DeploymentState | None) -> str | None:
    """The first spec of the stretch with autoscaling on that this one is in."""
    since = None if before is None else before.scaling_since
    return stretch_of(spec.scale, spec_id=spec_id, before=since)


def _existing(target: DeploymentState | None, deployment_id: str) -> DeploymentState:
    if target is None or not target.exists:
        raise deployment_not_found(deployment_id)
    return target


def deployment_not_found(deployment_id: str) -> NotFound:
    return NotFound(
        "There is no such deployment", [Issue(("deploymentId",), "no such deployment", deployment_id)]
    )


def name_taken(path: tuple[str | int, ...], name: str) -> Conflict:
    return Conflict("The name is taken", [Issue(path, "held by another one", name)])
