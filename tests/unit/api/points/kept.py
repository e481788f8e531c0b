"""Minutes, and a database of points that they are put into."""

from datetime import UTC, datetime

from services.api.points.minutes import DeploymentPoint, Minute, ReplicaPoint
from services.api.points.store import PointStore
from services.api.points.tables import DEPLOYMENT
from services.api.points.upkeep import HOUR

NOON = 29_000_000 - 29_000_000 % (24 * HOUR) + 12 * HOUR
"""A minute at the beginning of an hour, in the middle of a day."""
ROOM = 100 * 1024 * 1024


def minute(
    number: int, *, answered: float = 1.0, deployments=("d",), replicas=("r",), has_requests=True
) -> Minute:
    return Minute(
        number,
        has_requests,
        {each: DeploymentPoint(answered, 0.0, 0.0, 1000.0 * answered, 0.5, 1e6, 1.0) for each in deployments},
        {(each, replica): ReplicaPoint(0.5, 1e6, 2.0, None) for each in deployments for replica in replicas},
        counted={each: (int(answered), 0, 0, int(1000 * answered)) for each in deployments},
    )


class Timely(PointStore):
    """What is put is of the present, unless a test says what time it is."""

    def __init__(self, path, *, most_bytes):
        self.now: int | None = None
        super().__init__(path, most_bytes=most_bytes, clock=self.time)

    def time(self):
        return datetime.fromtimestamp(60 * (self.now or self.newest), UTC)

    def put(self, minute):
        self.newest = minute.number
        super().put(minute)


def numbers(store, kind=DEPLOYMENT, deployment="d", first=0, last=2**40):
    return [
        [at for at, _, _ in found.points] for found in store.points(kind, deployment, first=first, last=last)
    ]
