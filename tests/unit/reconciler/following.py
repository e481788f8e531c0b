"""A stage with a resync that follows its log."""

from libs.common.leading import ALWAYS, Leading
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from services.reconciler.converge import Reconciler
from services.reconciler.loop import Resync
from tests.support.polling import eventually
from tests.unit.reconciler.stage import Stage


class Scene(Stage):
    """A stage with a resync that follows its log."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress()
        self.resync = self.resync_every(0.01)

    def resync_every(self, interval_s: float, leading: Leading = ALWAYS) -> Resync:
        return Resync(
            self.log,
            self.cluster,
            Reconciler(self.log, self.cluster),
            self.progress,
            Aside("reconcile", self.progress.set_aside),
            interval_s=interval_s,
            leading=leading,
        )

    async def caught_up(self) -> None:
        """The follower has taken in everything that is in the log."""
        last = await self.log.last_sequence()
        await eventually(lambda: self.progress.applied_sequence >= last)
