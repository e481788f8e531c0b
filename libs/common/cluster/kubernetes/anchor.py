"""The anchor of a deployment: which plan was admitted last, and which replicas may exist. Pure.

It is one object of the cluster, replaced as a whole under its resource version, so a plan is admitted or
refused by one write. Pods follow from it. A pod that it does not list is no replica.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from pydantic import ValidationError

from libs.common.back_off import BackOff
from libs.common.clock import to_rfc3339
from libs.common.cluster import fencing
from libs.common.cluster.abilities import KUBERNETES
from libs.common.cluster.counting import missing
from libs.common.cluster.port import Workload
from libs.common.errors import CannotApply, DeploymentUnavailable
from libs.common.events.envelope import Position
from libs.common.spec.template import Template

MOST_BYTES: Final = KUBERNETES.most_bytes or 0
"""Of an anchor."""
TOMBSTONE_FOR: Final = timedelta(hours=1)
"""How long the anchor of a removed deployment stays, so that plans from before the removal are refused."""

REPLACEMENTS: Final = BackOff(10.0, 300.0)
"""Before a replica of a run is made in the place of one that ended without ever being ready."""

_ANY_ID: Final = "0" * 32

_SEALED_VERSION: Final = 2
"""The first that has a digest."""
_PLAN: Final = "plan.json"
_DIGEST: Final = "digest"
_TEMPLATE: Final = "template.json"
"""Keys of the object's data; each template's begins with its run."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A replica that may exist."""

    replica_id: str
    run_id: str
    spec_id: str
    is_stopping: bool = False
    """It is to end, or has begun to; it never counts again."""
    failed_before: int = 0
    """How many times in a row replicas of its run had ended without ever being ready when it was listed."""


@dataclass(frozen=True, slots=True)
class Setback:
    """Of a run: how often in a row its replicas ended without ever being ready, and how long it waits."""

    times: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What became of the replicas that an anchor lists."""

    gone: frozenset[str] = frozenset()
    """Without a pod."""
    ending: frozenset[str] = frozenset()
    """Whose pod ends, whoever asked for it."""
    failed: frozenset[str] = frozenset()
    """Of both: whose pod ended without ever being ready."""
    ready: frozenset[str] = frozenset()


NOWHERE: Final = Whereabouts()


@dataclass(frozen=True)
class Anchor:
    project_id: str
    deployment_id: str
    fence: Position
    replicas: tuple[Listed, ...] = ()
    """In the order of their making."""
    templates: Mapping[str, Template] = field(default_factory=dict)
    """By run, of those that have a replica here."""
    setbacks: Mapping[str, Setback] = field(default_factory=dict)
    """By run."""
    removed_at: datetime | None = None

    @cached_property
    def by_id(self) -> Mapping[str, Listed]:
        return {one.replica_id: one for one in self.replicas}


def admit(
    present: Anchor | None,
    workload: Workload,
    fence: fencing.Fence,
    *,
    where: Whereabouts,
    new_ids: Iterator[str],
    now: datetime,
) -> Anchor:
    """The anchor after this plan. Raises Fenced, and CannotApply when it would be too large.

    A replica that is gone is dropped, and its id never used again: whoever was about to make its pod makes
    one that is no replica. The replacement of one that ends does not wait for its end, but for the back-off
    of its run where that has one: then fewer are listed than the plan wants, until it is applied again, and
    one by each plan: the first finds out whether it goes better by now.
    new_ids: as many as are needed are taken.
    """
    position = fencing.position(fence)
    listed = present.replicas if present is not None else ()
    if present is not None:
        fencing.admit(present.fence, position)
    leaving = workload.stopping | where.ending
    kept = tuple(
        replace(one, is_stopping=one.is_stopping or one.replica_id in leaving)
        for one in listed
        if one.replica_id not in where.gone
    )
    setbacks = _setbacks(present, workload, where, now)
    lasting = [(one.replica_id, one.run_id) for one in kept if not one.is_stopping]
    tried: set[str] = set()
    added: list[Listed] = []
    for run in missing(workload, lasting):
        setback = setbacks.get(run.run_id)
        if setback is None:
            added.append(Listed(next(new_ids), run.run_id, run.spec_id))
        elif run.run_id not in tried and setback.until <= now:
            tried.add(run.run_id)
            added.append(Listed(next(new_ids), run.run_id, run.spec_id, failed_before=setback.times))
    replicas = (*kept, *added)
    templates = dict(present.templates) if present is not None else {}
    templates |= {run.run_id: run.template for run in workload.runs}
    after = Anchor(
        workload.project_id,
        workload.deployment_id,
        position,
        replicas,
        {run_id: templates[run_id] for run_id in dict.fromkeys(one.run_id for one in replicas)},
        setbacks,
    )
    if (size := size_of(after)) > MOST_BYTES:
        raise CannotApply(
            f"what a cluster has to know of this deployment takes {size} bytes; "
            f"allowed: at most {MOST_BYTES}. It has {len(replicas)} replicas of {len(after.templates)} runs"
        )
    return after


def _setbacks(
    present: Anchor | None, workload: Workload, where: Whereabouts, now: datetime
) -> dict[str, Setback]:
    """Of the runs that are wanted. One that has a ready replica has none."""
    if present is None:
        return {}
    are_ready = {one.run_id for one in present.replicas if one.replica_id in where.ready}
    have_failed = {
        one.run_id
        for one in present.replicas
        if one.replica_id in where.failed and not one.is_stopping and one.replica_id not in workload.stopping
    }
    found: dict[str, Setback] = {}
    for run_id in (run.run_id for run in workload.runs if run.run_id not in are_ready):
        before = present.setbacks.get(run_id)
        if run_id in have_failed:
            times = 1 if before is None else before.times + 1
            found[run_id] = Setback(times, now + timedelta(seconds=REPLACEMENTS.pause_s(times)))
        elif before is not None:
            found[run_id] = before
    return found


def remove(
    present: Anchor | None, deployment_id: str, fence: fencing.Fence, *, where: Whereabouts, now: datetime
) -> Anchor:
    """The anchor after the removal: a tombstone, under which every replica is to end. Raises Fenced."""
    position = fencing.position(fence)
    if present is None:
        return Anchor("", deployment_id, position, removed_at=now)
    fencing.admit(present.fence, position)
    return replace(
        present,
        fence=position,
        replicas=tuple(
            replace(one, is_stopping=True) for one in present.replicas if one.replica_id not in where.gone
        ),
        setbacks={},
        removed_at=present.removed_at or now,
    )


def is_expired(anchor: Anchor, now: datetime) -> bool:
    """Whether it is a tombstone that has stayed for long enough."""
    return anchor.removed_at is not None and now - anchor.removed_at >= TOMBSTONE_FOR


def to_data(anchor: Anchor) -> dict[str, str]:
    """As the `data` of a ConfigMap."""
    fence = anchor.fence
    plan: dict[str, Any] = {
        "version": _SEALED_VERSION,
        "project_id": anchor.project_id,
        "deployment_id": anchor.deployment_id,
        "fence": {"sequence": fence.sequence, "log": fence.log, "hash": fence.hash},
        "replicas": [_replica_to_json(one) for one in anchor.replicas],
    }
    if anchor.removed_at is not None:
        plan["removed_at"] = to_rfc3339(anchor.removed_at)
    if anchor.setbacks:
        plan["setbacks"] = {
            run_id: {"times": one.times, "until": to_rfc3339(one.until)}
            for run_id, one in anchor.setbacks.items()
        }
    templates = {
        f"{run_id}.{_TEMPLATE}": _dumped(template.model_dump(mode="json", exclude_none=True))
        for run_id, template in anchor.templates.items()
    }
    data = {_PLAN: _dumped(plan), **templates}
    return {**data, _DIGEST: _digest(data)}


def is_sealed(data: Mapping[str, str]) -> bool:
    """Whether it is as one of us wrote it; of what can be read. Other versions had no digest, or
    may have another one."""
    version = json.loads(data[_PLAN]).get("version")
    if version != _SEALED_VERSION:
        return True
    return data.get(_DIGEST) == _digest({key: value for key, value in data.items() if key != _DIGEST})


def _digest(data: Mapping[str, str]) -> str:
    return hashlib.sha256(_dumped(data).encode()).hexdigest()


def from_data(name: str, data: Mapping[str, str]) -> Anchor:
    """What `to_data` wrote; keys that a later version added do not count. name: of the object, for people.

    Raises DeploymentUnavailable where it is none.
    """
    try:
        plan = json.loads(data[_PLAN])
        removed_at = plan.get("removed_at")
        replicas = tuple(_replica_from_json(one) for one in plan["replicas"])
        return Anchor(
            project_id=str(plan["project_id"]),
            deployment_id=str(plan["deployment_id"]),
            fence=Position(int(plan["fence"]["sequence"]), plan["fence"]["log"], plan["fence"]["hash"]),
            replicas=replicas,
            templates={
                run_id: Template.model_validate_json(data[f"{run_id}.{_TEMPLATE}"])
                for run_id in dict.fromkeys(one.run_id for one in replicas)
            },
            setbacks={
                run_id: Setback(int(one["times"]), datetime.fromisoformat(one["until"]))
                for run_id, one in plan.get("setbacks", {}).items()
            },
            removed_at=None if removed_at is None else datetime.fromisoformat(removed_at),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
        raise DeploymentUnavailable(
            f"the anchor ConfigMap {name} cannot be read: {type(error).__name__}: {error}"
        ) from error


def size_of(anchor: Anchor) -> int:
    return sum(len(key) + len(value.encode()) for key, value in to_data(anchor).items())


def expected_size(runs: Collection[tuple[Template, int]]) -> int:
    """Of the anchor of a deployment that has these runs, each with so many replicas."""
    templates = {f"{number:032}": template for number, (template, _) in enumerate(runs)}
    replicas = [
        Listed(f"{one:032}", run_id, _ANY_ID, is_stopping=True)
        for run_id, (_, many) in zip(templates, runs, strict=True)
        for one in range(many)
    ]
    fence = Position(10**15, _ANY_ID, _ANY_ID * 2)
    return size_of(Anchor(_ANY_ID, _ANY_ID, fence, tuple(replicas), templates))


def _replica_to_json(one: Listed) -> dict[str, Any]:
    written: dict[str, Any] = {"id": one.replica_id, "run": one.run_id, "spec": one.spec_id}
    if one.is_stopping:
        written["stopping"] = True
    if one.failed_before:
        written["failed_before"] = one.failed_before
    return written


def _replica_from_json(written: Mapping[str, Any]) -> Listed:
    return Listed(
        str(written["id"]),
        str(written["run"]),
        str(written["spec"]),
        is_stopping=bool(written.get("stopping", False)),
        failed_before=int(written.get("failed_before", 0)),
    )


def _dumped(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
