"""Following the log: what is asked of deployments, so that their replicas are looked at at once."""

from collections.abc import Callable
from typing import Final

from libs.common.events.envelope import Recorded
from libs.common.log.snapshots import Snapshot
from libs.common.log.views import follow_views
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.state.aggregates import waking
from libs.common.state.view import DeploymentView
from services.health.records import Records

TELLING: Final = frozenset(kind.name for kind in waking("health"))
"""Kinds of events after which the cluster soon shows something else."""


class Follower:
    """Keeps `records.views` up and triggers the watch for what may have changed on the cluster."""

    def __init__(
        self,
        records: Records,
        *,
        progress: Progress,
        wake_for: Callable[[str], None],
        snapshot: Snapshot | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._records = records
        self._progress = progress
        self._wake_for = wake_for

    async def run(self, on_caught_up: Callable[[], None]) -> None:
        """Never returns. `on_caught_up`: called when all that is stored is read; again after an import."""

        def caught_up(sequence: int) -> None:
            self._progress.applied(sequence)
            on_caught_up()

        await follow_views(
            self._records.log,
            self._records.views,
            Aside("follow", self._progress.set_aside),
            on_caught_up=caught_up,
            on_change=self._on_change,
            on_importing=self._progress.hold,
            snapshot=self._snapshot,
        )

    def _on_change(self, view: DeploymentView, event: Recorded) -> None:
        self._progress.applied(event.sequence)
        self._records.note(view)
        is_strange = self._records.take_over(view, event)
        if is_strange or event.aggregate.kind in TELLING:
            self._wake_for(view.deployment_id)
