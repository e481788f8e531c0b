"""What a replica is, as its `record.json` says: written before anything is started, never changed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from libs.common.cluster.local.shim import files, limits
from libs.common.cluster.local.stored import known_fields, unreadable
from libs.common.machine_types.catalogue import MachineType
from libs.common.spec.template import Template


@dataclass(frozen=True, slots=True)
class Record:
    replica_id: str
    deployment_id: str
    run_id: str
    spec_id: str
    template: Template
    order: int
    """Its number in its deployment, rising with creation."""
    created_at: datetime
    traceparent: str | None
    path: str
    """The PATH that its command sees and is looked up in."""
    grace_s: float
    """Seconds between SIGTERM and SIGKILL."""
    cpus: float | None = None
    """Of the machine type, as it was then; None where nobody knew it."""
    memory_gib: float | None = None
    shm_gib: float | None = None
    """What its `/dev/shm` has room for; None for all of its memory."""
    cgroups: str | None = None
    """Where it has one of its own, with these limits; None where it has all that there is."""

    def to_json(self) -> dict[str, Any]:
        return {
            "replica_id": self.replica_id,
            "deployment_id": self.deployment_id,
            "run_id": self.run_id,
            "spec_id": self.spec_id,
            "template": self.template.model_dump(mode="json"),
            "order": self.order,
            "created_at": self.created_at.timestamp(),
            "traceparent": self.traceparent,
            "path": self.path,
            "grace_s": self.grace_s,
            "cpus": self.cpus,
            "memory_gib": self.memory_gib,
            **({} if self.shm_gib is None else {"shm_gib": self.shm_gib}),
            **({} if self.cgroups is None else {"cgroups": self.cgroups}),
        }


def held_by(machine: MachineType | None) -> dict[str, Any]:
    """The fields of a record that come of the machine type; none where nobody knows it."""
    if machine is None:
        return {}
    return {
        "cpus": machine.cpus,
        "memory_gib": machine.memory_gib,
        "shm_gib": machine.shm_gib,
        "cgroups": limits.tried()[0] or None,
    }


def load_record(directory: Path) -> Record | None:
    """None when the replica is gone. Raises UnreadableRecord."""
    path = f"{directory}/{files.RECORD}"
    stored = files.read_json(path)
    if stored is None:
        return None
    known = known_fields(Record, stored, path)
    try:
        return Record(
            **{
                **known,
                "template": Template.model_validate(known["template"]),
                "created_at": datetime.fromtimestamp(known["created_at"], UTC),
            }
        )
    except (ValidationError, TypeError, ValueError, OverflowError) as error:
        raise unreadable(path, error) from error
