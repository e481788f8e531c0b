"""What a deployment used, recorded as the api reads it, and a policy tried on it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from libs.common.metrics.port import MemorySamples
from libs.common.metrics.samples import Batch, Kind
from tests.support.rest import RunningApi

BY_CPU: Final[dict[str, Any]] = {
    "maxReplicas": 5,
    "metrics": [{"metric": "cpu", "summary": "average", "value": 50}],
}


async def tried(api: RunningApi, deployment_id: str, **body: Any) -> Any:
    answer = await api.http.post(
        f"/v1/deployments/{deployment_id}/whatif", json={"autoscaling": BY_CPU, **body}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


class Recorded:
    """METRICS with a deployment's samples, each stored at its own time."""

    def __init__(self, deployment_id: str) -> None:
        self.at = 0.0
        self.samples = MemorySamples(clock=lambda: datetime.fromtimestamp(self.at, UTC))
        self._deployment_id = deployment_id
        self._number = 0

    async def measure(self, kind: Kind, times: Sequence[float], load: Callable[[float], float]) -> None:
        for self.at in times:
            self._number += 1
            base = {"source": kind.value, "counter_id": "c", "number": self._number, "is_whole": True}
            one = {"deployment_id": self._deployment_id}
            if kind is Kind.USAGE:
                used = {"replica_id": "r", "attempt": 0, "ended_at": self.at, "window_s": 15}
                content = {"usage": [{**one, **used, "cpu_cores": load(self.at)}]}
            else:
                content = {"in_flight": [{**one, "in_flight": load(self.at)}]}
            every_s = 15 if kind is Kind.USAGE else 1
            await self.samples.publish(
                Batch.model_validate(
                    {"kind": kind, "interval_s": every_s, "ended_at": self.at, **base, **content}
                )
            )


def every(step_s: int, *, since: datetime, minutes: int) -> list[float]:
    begin = since.timestamp()
    return [begin + step_s * number for number in range(minutes * 60 // step_s)]
