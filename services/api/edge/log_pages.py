"""The lines of a deployment: what its cluster has, and what was kept of replicas that it has forgotten.

Both give a line the same id, so a line that is in both is there once, and a page goes on behind any line.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from libs.common.cluster.port import Cluster, LogLine, LogPage, UnreadableLog
from libs.common.errors import LogUnavailable
from libs.common.tails.port import Tails
from libs.common.tails.tail import Tail

logger = structlog.get_logger()

CLOCKS_DIFFER: Final = timedelta(minutes=10)
"""So far the clock of a node may be before that of the broker."""


async def read_log_page(
    cluster: Cluster,
    tails: Tails,
    deployment_id: str,
    *,
    limit: int,
    replica_id: str | None,
    after: str | None,
    newest_first: bool,
) -> LogPage:
    """See `Cluster.logs`; the gone replicas' last words are always among them."""
    page = await cluster.logs(
        deployment_id, limit=limit, replica_id=replica_id, after=after, newest_first=newest_first
    )
    if cluster.abilities.keeps_last_words:
        return page
    # A line behind that one was kept after it was written, so whoever follows reads only what is new.
    is_following = not newest_first and page.after_at is not None
    since = page.after_at - CLOCKS_DIFFER if is_following and page.after_at is not None else None
    try:
        kept = await tails.read(deployment_id, since=since)
    except LogUnavailable as error:
        logger.warning("tails cannot be read", deployment_id=deployment_id, error=str(error))
        said = UnreadableLog(None, f"what gone replicas wrote last cannot be read now: {error}")
        return replace(page, unreadable=(*page.unreadable, said))
    of_replica = [tail for tail in kept if replica_id in (None, tail.replica_id)]
    return merge(page, of_replica, limit=limit, after=after, newest_first=newest_first)


def merge(
    page: LogPage, kept: Iterable[Tail], *, limit: int, after: str | None, newest_first: bool
) -> LogPage:
    """Pure. What the kept ones have beyond the last line of a page that goes on is for the next one."""
    kept = list(kept)
    known = {
        line.id: LogLine(line.id, tail.replica_id, line.message, line.written_at)
        for tail in kept
        for line in tail.lines
        if after is None or (line.id < after if newest_first else line.id > after)
    }
    known |= {line.id: line for line in page.lines}
    ordered = [known[each] for each in sorted(known, reverse=newest_first)]
    told = {one.replica_id for one in page.unreadable}
    unread = (
        UnreadableLog(tail.replica_id, tail.problem)
        for tail in kept
        if tail.problem and tail.replica_id not in page.read | told
    )
    return replace(
        page,
        lines=tuple(ordered[:limit]),
        has_more=page.has_more or len(ordered) > limit,
        unreadable=(*page.unreadable, *unread),
    )
