"""A log as an earlier version of Specstream wrote it: its hashes are of version 1."""

import json
from collections.abc import Iterable
from dataclasses import replace

from libs.common.events.envelope import GENESIS, chain_hash, parse_subject
from libs.common.log.export import event_line
from libs.common.log.head import RunningHead
from libs.common.log.port import Stored


def with_hashes_of_version_1(events: Iterable[Stored]) -> list[Stored]:
    """The same events, chained as version 1 does it."""
    hashes: dict = {}
    old = []
    for event in events:
        aggregate, event_type = parse_subject(event.subject)
        hashes[aggregate] = chain_hash(
            hashes.get(aggregate, GENESIS), event.subject, event.headers["ce-id"], event_type, event.data
        )
        old.append(replace(event, headers={**event.headers, "ce-hash": hashes[aggregate]}))
    return old


def export_lines(events: Iterable[Stored], *, version: int = 2) -> list[bytes]:
    """An export of these events as they are, with the head that fits them: the file of whoever edits one."""
    running = RunningHead()
    lines = [b'{"format":"specstream-log","version":%d}\n' % version]
    for event in events:
        running.take(event)
        lines.append(event_line(event))
    head = running.head(version).to_wire()
    if version == 1:
        del head["version"]
    return [*lines, json.dumps({"head": head}).encode()]
