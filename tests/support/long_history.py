"""An export of a platform that never ran: some deployments with many versions behind them."""

from dataclasses import dataclass
from pathlib import Path

from libs.common.events.envelope import Cause
from libs.common.events.rollout import LiveRun, SpecApplied
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from libs.common.log.export import export
from libs.common.log.memory import MemoryLog
from libs.common.spec.template import make_template, run_id
from services.api.commands.carry_out import Commands
from tests.support.deployments import Storyteller
from tests.support.live_platform import hello
from tests.support.specs import LOCAL_OFFER, parse_spec

CAUSE = Cause(actor="key:default", correlation_id="before")


@dataclass(frozen=True, slots=True)
class LongHistory:
    """lines: of the export. newest: the newest spec of each deployment. running: who wants a replica."""

    lines: tuple[bytes, ...]
    newest: dict[str, str]
    running: tuple[str, ...]

    @property
    def events(self) -> int:
        return len(self.lines) - 2

    def write(self, path: Path) -> Path:
        path.write_bytes(b"".join(self.lines))
        return path


class _AtOnce:
    """Reads show a log in memory at once."""

    def admit(self) -> None:
        """Nothing is in the way."""

    async def wait_for(self, sequence: int) -> None:
        """Nothing to wait for."""

    async def place_of_spec(self, deployment_id: str, spec_id: str) -> int:
        """Nobody rolls back here."""
        raise NotImplementedError


async def long_history(*, deployments: int = 6, versions: int = 24) -> LongHistory:
    """Every version but the last wants two replicas, and was carried out. With the last the first two
    deployments want one and the others are disabled: what acts on a part of this history is seen to."""
    log = MemoryLog()
    commands = Commands.over(log, _AtOnce(), LOCAL_OFFER)
    newest: dict[str, str] = {}
    running: list[str] = []
    for number in range(deployments):
        story: Storyteller | None = None
        for version in range(1, versions + 1):
            is_last = version == versions
            config = hello(f"long-{number}", replicas=1 if is_last else 2, VERSION=str(version))
            spec = parse_spec({**config, "enabled": not is_last or number < 2})
            submitted = await commands.submit(spec, project_id="default", cause=CAUSE)
            assert submitted is not None
            story = story or Storyteller(log, submitted.deployment_id)
            assert submitted.spec_id is not None
            newest[story.deployment_id] = submitted.spec_id
            await _carried_out(story, submitted.spec_id, run_id(make_template(spec)), version)
        assert story is not None
        if number < 2:
            running.append(story.deployment_id)
    return LongHistory(tuple([line async for line in export(log)]), newest, tuple(running))


async def _carried_out(story: Storyteller, spec_id: str, run: str, version: int) -> None:
    """A replica of another home comes, and the one before it goes."""
    before = list(story.roster.by_id)
    await story.tell(SpecApplied(spec_id=spec_id, run_id=run, runs=(LiveRun(run_id=run, spec_id=spec_id),)))
    new = f"{story.deployment_id[:24]}{version:08d}"
    await story.ready(new, f"127.0.0.1:{version}", run_id=run, spec_id=spec_id)
    for old in before:
        await story.retire(old)
        await story.tell(EndpointsWithdrawn(replica_ids=(old,), reason=WithdrawReason.IDLE))
        await story.stopped(old)
