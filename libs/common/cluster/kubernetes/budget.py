"""The one disruption budget: there while we see which nodes are to be emptied, since it makes that wait."""

from typing import Any, Final

import structlog

from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.client import Client
from libs.common.cluster.kubernetes.manifests import make_budget
from libs.common.cluster.kubernetes.places import Places
from libs.common.cluster.kubernetes.refusals import Conflicting, Forbidden, NotThere
from libs.common.errors import CannotApply, DeploymentUnavailable

logger = structlog.get_logger()

BUDGETS: Final = "poddisruptionbudgets"


class Budget:
    """problem: why it cannot be kept as it has to be; empty where it is."""

    def __init__(self, client: Client, places: Places) -> None:
        self._client = client
        self._places = places
        self.problem = ""

    async def keep(self) -> None:
        """Make it, put it back, or take it away; nothing while it is not known whether we may read nodes.

        Raises ClusterUnavailable where nobody answers.
        """
        try:
            if self._places.nodes.is_current:
                await self._apply()
            elif self._places.nodes.refusal:
                await self._delete()
        except (Forbidden, CannotApply, DeploymentUnavailable) as error:
            if not self.problem:
                logger.info("the disruption budget is not ours to keep", error=str(error))
            self.problem = str(error)
        except Conflicting as error:
            # Somebody else has made or changed it meanwhile; the next time tells what is to be done then.
            logger.info("the disruption budget was changed meanwhile", error=str(error))
        else:
            self.problem = ""

    async def _apply(self) -> None:
        wanted = make_budget(namespace=self._client.namespace)
        if not _is_as(await self._present(), wanted):
            logger.info("applying the disruption budget", name=names.BUDGET)
            await self._client.apply(BUDGETS, wanted, manager=names.MANAGER)

    async def _delete(self) -> None:
        present = await self._present()
        if (
            present is not None
            and present["metadata"].get("labels", {}).get(names.MANAGED_BY) == names.MANAGER
        ):
            logger.warning("removing the disruption budget, since nodes cannot be read", name=names.BUDGET)
            try:
                await self._client.delete(BUDGETS, names.BUDGET, uid=present["metadata"]["uid"])
            except (NotThere, Conflicting):
                return

    async def _present(self) -> dict[str, Any] | None:
        try:
            return await self._client.get(BUDGETS, names.BUDGET)
        except NotThere:
            return None


def _is_as(present: dict[str, Any] | None, wanted: dict[str, Any]) -> bool:
    """Whether all that we want of it is so; what others add does not count."""
    if present is None or present["metadata"].get("deletionTimestamp") is not None:
        return False
    spec = present.get("spec", {})
    return all(spec.get(key) == value for key, value in wanted["spec"].items())
