"""Whether the broker can write: a batch to a stream of its own, on the same disk as the log.

An atomic batch, as most appends are: it needs new files, while a single message may still fit into the last
block of a file on a disk that is full already.
"""

import json

from nats.aio.client import Client
from nats.errors import Error as NatsError

from libs.common.bus import subjects
from libs.common.bus.broker_errors import BrokerError
from libs.common.errors import LogUnavailable
from libs.common.ids import new_id

_ANSWER_WITHIN_S = 2.0


async def refused_write(client: Client) -> str:
    """Why the broker refuses to write; empty when it has written.

    Raises LogUnavailable when it does not answer, which a server whose disk fails does too.
    """
    batch = {"Nats-Batch-Id": new_id(), "Nats-Batch-Sequence": "1"}
    commit = {**batch, "Nats-Batch-Sequence": "2", "Nats-Batch-Commit": "1"}
    for headers in (batch, commit):
        try:
            answer = await client.request(
                subjects.WRITE_PROBE, b"", timeout=_ANSWER_WITHIN_S / 2, headers=headers
            )
        except (NatsError, TimeoutError) as silent:
            raise LogUnavailable(f"the broker does not acknowledge a write: {silent!r}") from silent
        if error := json.loads(answer.data or b"{}").get("error"):
            full = ", as on a full disk" if error.get("err_code") == BrokerError.BATCH_INCOMPLETE else ""
            return f"{error.get('err_code')} {error.get('description')}{full}"
    return ""
