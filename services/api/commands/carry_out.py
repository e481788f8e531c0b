"""The commands that there are, each as load plus decide. REST and the command stream both come here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from libs.common.cluster.offer import Offer
from libs.common.events.deployment import GitHeaders
from libs.common.events.envelope import Cause
from libs.common.ids import new_id
from libs.common.log.port import EventLog
from libs.common.spec.model import Spec
from services.api.commands import earlier, loading
from services.api.commands.deployment import (
    Delete,
    Rollback,
    Submit,
    Submitted,
    decide_delete,
    decide_rollback,
    decide_submit,
)
from services.api.commands.loading import SubmitNames
from services.api.commands.outcomes import Begun
from services.api.commands.project import (
    CreateProject,
    DeleteProject,
    RenameProject,
    decide_create,
    decide_rename,
)
from services.api.commands.project import decide_delete as decide_delete_project
from services.api.commands.shell import CommandShell, Earlier
from services.api.commands.visible import Visible
from services.api.health.log_watch import LogCondition

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Commands:
    """Each method answers when its change is durable and visible, and raises what `CommandShell.run` raises.

    begun: of a command of another system. What an earlier attempt at it did is not done again.
    """

    log: EventLog
    shell: CommandShell
    offer: Offer
    """What a spec may ask for."""
    condition: LogCondition = field(default_factory=LogCondition)
    """Asked before whatever makes the platform run more, never before what ends something."""

    @classmethod
    def over(
        cls,
        log: EventLog,
        visible: Visible,
        offer: Offer,
        condition: LogCondition | None = None,
    ) -> "Commands":
        return cls(log, CommandShell(log, visible), offer, condition or LogCondition())

    async def submit(
        self,
        spec: Spec,
        *,
        project_id: str,
        cause: Cause,
        deployment_id: str | None = None,
        git: GitHeaders | None = None,
        begun: Begun | None = None,
    ) -> Submitted:
        self.condition.check_room()
        command = Submit(project_id, spec, new_id(), new_id(), deployment_id, git)
        known = SubmitNames(project_id, spec.name, deployment_id)
        return await self.shell.run(
            lambda: loading.load_submit(self.log, known),
            lambda state: decide_submit(state, command, self.offer),
            key=f"name {project_id} {spec.name}",
            cause=cause,
            earlier=_earlier(begun, lambda begun: earlier.find_submitted(self.log, begun, known)),
        )

    async def delete(
        self,
        deployment_id: str,
        *,
        cause: Cause,
        project_id: str | None = None,
        begun: Begun | None = None,
    ) -> str:
        return await self.shell.run(
            lambda: loading.load_deployment(self.log, deployment_id),
            lambda state: decide_delete(state, Delete(deployment_id, project_id)),
            key=f"deployment {deployment_id}",
            cause=cause,
            earlier=_earlier(begun, lambda begun: earlier.find_deleted(self.log, begun, deployment_id)),
        )

    async def rollback(
        self, deployment_id: str, spec_id: str, *, cause: Cause, git: GitHeaders | None = None
    ) -> Submitted:
        self.condition.check_room()
        command = Rollback(deployment_id, spec_id, new_id(), git)
        return await self.shell.run(
            lambda: loading.load_rollback(self.log, self.shell.visible, deployment_id, spec_id),
            lambda state: decide_rollback(*state, command, self.offer),
            key=f"deployment {deployment_id}",
            cause=cause,
        )

    async def create_project(self, name: str, *, cause: Cause) -> str:
        self.condition.check_room()
        command = CreateProject(name, new_id())
        return await self.shell.run(
            lambda: loading.load_name(self.log, name),
            lambda owner: decide_create(owner, command),
            key=f"project {name}",
            cause=cause,
        )

    async def rename_project(self, project_id: str, name: str, *, cause: Cause) -> str:
        self.condition.check_room()
        return await self.shell.run(
            lambda: loading.load_rename_project(self.log, project_id, name),
            lambda state: decide_rename(state, RenameProject(project_id, name)),
            key=f"project {project_id}",
            cause=cause,
        )

    async def delete_project(self, project_id: str, *, cause: Cause) -> str:
        return await self.shell.run(
            lambda: loading.load_delete_project(self.log, project_id),
            lambda state: decide_delete_project(state, DeleteProject(project_id)),
            key=f"project {project_id}",
            cause=cause,
        )


def _earlier(begun: Begun | None, find: Callable[[Begun], Awaitable[T | None]]) -> Earlier[T] | None:
    return Earlier(lambda: find(begun), is_possible=not begun.is_new) if begun else None
