"""METRICS as the points are gathered from it."""

from libs.common.metrics.port import Place, Received
from libs.common.metrics.samples import Batch, Kind, ReplicaUsage, RequestTotals
from services.api.points.minutes import Gathering, Minute
from services.api.points.places import Taken


class Stream:
    """What a test has the stream hold. taken: so many samples are in minutes already. edges: who has to have
    counted."""

    def __init__(self, *, taken: int = 0, edges: tuple[str, ...] = ()):
        self.gathering = Gathering(taken=Taken(Place("", taken), 0), edges=edges)
        self.minutes: list[Minute] = []
        self.number = 0

    def send(self, at: float, **fields):
        self.number += 1
        batch = Batch(
            **{
                "source": "edge",
                "counter_id": "one",
                "number": self.number,
                "interval_s": 5,
                "ended_at": at,
                **fields,
            }
        )
        if (minute := self.gathering.take(Received(batch, at, self.number))) is not None:
            self.minutes.append(minute)

    def requests(self, at: float, *, whole: bool = False, part: int = 1, parts: int = 1, **totals):
        some = {
            name: fields.pop(name)
            for fields in [totals]
            for name in ("source", "counter_id")
            if name in fields
        }
        self.send(
            at,
            kind=Kind.REQUESTS,
            is_whole=whole,
            part=part,
            parts=parts,
            requests=[
                RequestTotals(
                    deployment_id=each, answered=count, duration_us=count * 1000, unanswered=count // 10
                )
                for each, count in totals.items()
            ],
            **some,
        )

    def usage(
        self, at: float, *, ended_at: float | None = None, attempt: int = 0, window_s: float = 15, **cores
    ):
        self.send(
            at,
            source="health",
            kind=Kind.USAGE,
            usage=[
                ReplicaUsage(
                    deployment_id="d",
                    replica_id=each,
                    attempt=attempt,
                    ended_at=at if ended_at is None else ended_at,
                    window_s=window_s,
                    cpu_cores=used,
                    memory_bytes=1000,
                    cpus=2,
                    memory_gib=1,
                )
                for each, used in cores.items()
            ],
        )

    def finished(self, now: float = 1e9) -> list[Minute]:
        if (minute := self.gathering.finish(now)) is not None:
            self.minutes.append(minute)
        return self.minutes
