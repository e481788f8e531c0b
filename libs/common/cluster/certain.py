"""What a cluster shows that is looked at itself each time: nobody else can have seen anything newer."""

from collections.abc import Collection

from libs.common.cluster.port import ObservedWorkload


class Certain:
    """`confirm` of the port."""

    async def confirm(
        self, deployment_id: str, replica_ids: Collection[str], seen: ObservedWorkload | None
    ) -> bool:
        del deployment_id, replica_ids, seen
        return False
