"""What was measured, as the API shows it: the reference API's shapes, in which values are strings."""

from datetime import UTC, datetime

from libs.common.clock import to_rfc3339
from services.api.edge.schemas.base import Answer
from services.api.points.timeframes import Value


class PointAnswer(Answer):
    """timestamp: the beginning of the step."""

    timestamp: str
    value: str

    @staticmethod
    def of(value: Value) -> "PointAnswer":
        minute, number = value
        return PointAnswer(timestamp=moment(minute), value=shown(number))


class InstancePoints(Answer):
    instance_id: str
    values: list[PointAnswer]


class GpuPointAnswer(Answer):
    gpu: str
    instance_id: str
    timestamp: str
    value: str


def moment(minute: int) -> str:
    """The beginning of a minute, counted since 1970."""
    return to_rfc3339(datetime.fromtimestamp(minute * 60, UTC))


def shown(number: float) -> str:
    """At most six digits behind the point."""
    text = f"{number:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
