"""How long each replica is there, and by which spec: what an event does to the rows of that.

By the times of the log, from the fact with which a replica appears until the one with which it is gone. Each
part belongs to the spec that its run carried out then; until one is applied, to the one that it was made by.
"""

from collections.abc import Iterable

from libs.common.clock import to_rfc3339
from libs.common.events.envelope import Recorded
from libs.common.events.replica import Replica
from libs.common.events.rollout import LiveRun
from services.api.readmodels.rows import Rows
from services.api.readmodels.tables import deployments, specs, stays


def begin(rows: Rows, event: Recorded, replica: Replica) -> None:
    """It appears. One that is there already changes nothing."""
    present = {"deployment_id": event.aggregate.id, "replica_id": replica.replica_id, "ended_at": None}
    if rows.find(stays, ("id",), **present):
        return
    carried_out = rows.first(deployments, "runs", id=event.aggregate.id) or ()
    of_run = (run["spec_id"] for run in carried_out if run["run_id"] == replica.run_id)
    _put(rows, event, replica.replica_id, replica.run_id, next(of_run, replica.spec_id))


def end(rows: Rows, event: Recorded, replica_id: str) -> None:
    """It is gone."""
    rows.change(
        stays,
        {"ended_at": to_rfc3339(event.time)},
        deployment_id=event.aggregate.id,
        replica_id=replica_id,
        ended_at=None,
    )


def carry_out(rows: Rows, event: Recorded, runs: Iterable[LiveRun]) -> None:
    """From now on each of these runs carries out its spec."""
    for run in runs:
        present = rows.find(
            stays,
            ("replica_id", "spec_id"),
            deployment_id=event.aggregate.id,
            run_id=run.run_id,
            ended_at=None,
        )
        for replica_id, before in present:
            if before != run.spec_id:
                end(rows, event, replica_id)
                _put(rows, event, replica_id, run.run_id, run.spec_id)


def _put(rows: Rows, event: Recorded, replica_id: str, run_id: str, spec_id: str) -> None:
    spec = rows.first(specs, "data", deployment_id=event.aggregate.id, id=spec_id) or {}
    rows.put(
        stays,
        id=f"{replica_id}-{event.sequence}",
        replica_id=replica_id,
        deployment_id=event.aggregate.id,
        project_id=event.aggregate.project_id,
        run_id=run_id,
        spec_id=spec_id,
        machine_type=spec.get("resources", {}).get("machineType", ""),
        started_at=to_rfc3339(event.time),
        ended_at=None,
    )
