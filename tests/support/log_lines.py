"""Everything that the replicas of a deployment wrote, page after page."""

from libs.common.cluster.port import Cluster, LogLine


async def read_lines(cluster: Cluster, deployment_id: str, *, limit: int = 1_000, **kwargs) -> list[LogLine]:
    """limit: lines of a page."""
    found: list[LogLine] = []
    after = kwargs.pop("after", None)
    while True:
        page = await cluster.logs(deployment_id, limit=limit, after=after, **kwargs)
        assert not page.unreadable, page.unreadable
        assert len(page.lines) == limit or not page.has_more
        found += page.lines
        if not page.has_more:
            return found
        after = page.lines[-1].id
