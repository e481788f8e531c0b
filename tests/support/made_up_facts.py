"""Facts that somebody made up, by chance: of every type, whatever their fields hold, under any subject.

Most values are those that a service could have written, so that the next event finds something to change; the
rest lie at the limits of what a reader may take for a value of that kind, or beyond them.
"""

import json
import types
import typing
from datetime import UTC, datetime, timedelta
from enum import Enum
from random import Random
from typing import Any, Final

from pydantic import BaseModel

from libs.common.events.catalogue import CATALOGUE
from libs.common.events.fact import Fact
from libs.common.events.replica import ReplicaState
from libs.common.log import wire
from libs.common.log.port import Stored
from libs.common.spec.bounds import MAX_REPLICAS
from libs.common.spec.model import Autoscaling, HealthCheck, ScalingBehavior, Spec
from libs.common.state.aggregates import BY_NAME
from tests.support.made_up import made_up
from tests.support.strategies import EPOCH

DEPLOYMENTS: Final = ("a" * 32, "a" * 32, "a" * 32, "b" * 32)
GOOD: Final = "f" * 32
"""The deployment of which nothing is made up, but under subjects that are not its own."""
PROJECT: Final = "d" * 32

_IDS = ("1" * 32, "2" * 32, "3" * 32)
"""Of replicas, specs and runs alike, so that they meet."""
_ADDRESSES = (
    "127.0.0.1:20001",
    "127.0.0.1:20002",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "127.0.0.1:²",
    "[::1]:80",
)
_ODD_ADDRESSES = ("", ":", "x:1", "1.2.3.4", "[fe80::1%x\n]:1", "127.0.0.1:" + "9" * 5_000)

_ODD: Final[dict[type, tuple[Any, ...]]] = {
    str: ("", "\0", "a\r\nb: c", "é😀", "../x", "x" * 300, "x" * 5_000, "-1", *_ADDRESSES),
    int: (
        *(-1, 1_000, 1_001, 65_536, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**40, 10**400),
        *("1", 2.0, True, "-1", 1e300),
    ),
    float: (
        *(-1.0, -0.0, 1e-320, 1e308, 2**70, 10**400, float("nan"), float("inf"), float("-inf")),
        *("1.5", "nan"),
    ),
    bool: ("yes", 0, "off", 1.0),
    datetime: (
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59.999999Z",
        "2026-01-01T00:00:00",
        "2026-01-01",
        *(0, -1, 1.5, 1e11, "1e3", 2**62),
    ),
}
_OF_FIELDS: Final[dict[str, tuple[Any, ...]]] = {
    "machine_type": ("C4", "A100", ""),
    "scaling_since": _IDS[:2],
    "stretch_id": _IDS[:2],
    "state": ("running", "running", *ReplicaState),
    "metric": ("cpu", "cpu", "memory", "requestDuration", "requestDuration", ""),
    "select_policy": ("Max", "Min", "Disabled", "x"),
    "type": ("Pods", "Percent", "Pods", "Percent", "x"),
    "router": ("router", "router-2", "router-3"),
    "max_replicas": (3, 10, MAX_REPLICAS, 0),
    "window_seconds": (10, 60, 3600, 9),
    "period_seconds": (1, 15, 1800, 0),
    "target_utilization_percentage": (1, 70, 100, 0),
    "max_scale_down_rate_percent": (1, 50, 51),
    "port": (8000, 8000, 9000),
    "must_stay_ready_s": (0, 10, 300, 10**400),
}
"""What the fields of these names hold, since their types say less than their readers expect."""
_BODIES = (b"", b"null", b"[]", b"{", b"\xff", b'"x"', b"{}")

_OFTEN = ("DeploymentCreated", "SpecRegistered", "SpecRegistered", "SpecApplied", "RosterRecorded")
_TYPES = (*CATALOGUE, *_OFTEN * 4, *("RolloutProgressed", "ReplicasDecided", "ReplicasRetiring") * 2)
"""Those that others need to mean anything come more often."""
_FOR_LATER = ("/etc/passwd", "x" * 300, GOOD, *DEPLOYMENTS)


class MadeUp:
    """odd: how many in a hundred values are odd."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        self._odd = self._one_of((0, 1, 5, 20))

    def event(self) -> Stored:
        event_type = self._one_of(_TYPES)
        fact = CATALOGUE[event_type]
        payload = self._payload(fact)
        kind = self._one_of((*BY_NAME, "nothing")) if self._is(4) else fact.aggregate
        project_id, aggregate_id = self._place(kind)
        page = "-1" if self._is(2) else _page_of(fact, payload)
        subject = f"events.{project_id}.{kind}.{aggregate_id}.{event_type}{page}"
        return made_up(subject, payload, time=self._stored(), headers=self._headers())

    def _place(self, kind: str) -> tuple[str, str]:
        match kind:
            case "project":
                return "_team", PROJECT
            case "router":
                names = ("router-2", "router-2", "router-9", "router", "é", "router-02", "x" * 300)
                return self._one_of(("_team", "_team", "default")), self._one_of(names)
            case "nothing" | "name":
                return "default", self._one_of(_FOR_LATER)
            case _:
                return PROJECT if self._is(5) else "default", self._one_of(DEPLOYMENTS)

    def _stored(self) -> datetime:
        if self._is(3):
            return self._one_of((datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, tzinfo=UTC)))
        return EPOCH + timedelta(minutes=self._chance.randrange(-100, 100))

    def _headers(self) -> dict[str, str]:
        if not self._is(5):
            return {}
        odd = {
            wire.ACTOR: ("", "x" * 5_000, "service:health"),
            wire.CORRELATION: ("", "x" * 5_000),
            wire.CAUSATION: ("", "x" * 5_000),
            wire.CAUSATION_SOURCE: ("", "urn:x"),
            wire.TRACEPARENT: ("", "x", f"00-{'1' * 32}-{'1' * 16}-01"),
            wire.BATCH: ("", "1/2", "2/2", "9/9"),
        }
        return {name: self._one_of(values) for name, values in odd.items() if self._is(50)}

    def _payload(self, fact: type[Fact]) -> bytes:
        """Mostly one that its model reads; some with a key dropped, told twice or told otherwise."""
        content = self._object(fact)
        told = json.dumps(content)
        if self._is(90):
            return told.encode()
        match self._chance.randrange(4):
            case 0 if content:
                content.pop(self._one_of(tuple(content)))
            case 1:
                content[self._value(str)] = self._one_of(_ODD[self._one_of(tuple(_ODD))])
            case 2 if content:
                content[self._one_of(tuple(content))] = self._one_of((None, [], {}, -1, "", [{}], 1.5))
            case 3 if content:
                again = {**self._object(fact), "x": 1}
                return f"{told[:-1]}, {json.dumps(again)[1:]}".encode()
            case _:
                return self._one_of(_BODIES)
        return json.dumps(content).encode()

    def _object(self, model: type[BaseModel]) -> dict[str, Any]:
        if model is Spec:
            return self._that_runs()
        return self._fields(model)

    def _fields(self, model: type[BaseModel]) -> dict[str, Any]:
        found = {}
        for name, field in model.model_fields.items():
            if field.is_required() or self._is(50):
                found[field.alias or name] = self._field(name, field.annotation)
        return found

    def _that_runs(self) -> dict[str, Any]:
        """A spec: mostly an ordinary one, but for a part, which is odder than all else."""
        usual, self._odd = self._odd, self._one_of((self._odd, 60))
        spec = self._fields(Spec)
        self._odd = usual
        if self._is(10):
            return spec
        part = self._one_of([name for name in spec if name != "apiVersion"])
        odd = {part: spec[part]} if part not in {"resources", "name"} else {}
        resources = {"machineType": "C4", "ports": [8000], "replicas": self._one_of((0, 1, 1, 2))}
        checks = ("startup", "readiness", "liveness")
        if self._is(60):
            resources["autoscaling"] = self._autoscaling()
        if part == "resources":
            name = self._one_of(tuple(spec[part]))
            resources[name] = spec[part][name]
        return {
            "name": "demo",
            "image": "example/app:1.0",
            "command": ["serve"],
            "resources": resources,
            "healthChecks": {name: self._check() for name in checks if self._is(30)},
            **odd,
        }

    def _autoscaling(self) -> dict[str, Any]:
        """The same."""
        metrics = [{"metric": name, "value": 50} for name in ("cpu", "memory", "requestDuration")]
        by = self._one_of(
            ({"metrics": metrics[:2]}, {"metrics": metrics[2:]}, {"concurrency": {"target": 1}})
        )
        block = {"maxReplicas": self._one_of((3, 10, MAX_REPLICAS)), **by}
        if self._is(50):
            block["behavior"] = self._object(ScalingBehavior)
        return {**block, **self._object(Autoscaling)} if self._is(20) else block

    def _check(self) -> dict[str, Any]:
        """The same."""
        form = self._one_of(({"path": "/"}, {"path": "/"}, {"exec": {"command": ["true"]}}))
        check = {**form, "periodSeconds": self._one_of((1, 1, 10, 2**31 - 1))}
        return {**self._object(HealthCheck), **check} if self._is(20) else check

    def _field(self, name: str, annotation: Any) -> Any:
        if name == "address":
            return self._one_of(_ODD_ADDRESSES if self._is(self._odd) else (*_ADDRESSES, None))
        if name in _OF_FIELDS:
            return self._one_of(_OF_FIELDS[name])
        return self._value(annotation, most=40 if name == "slot" else 3)

    def _value(self, annotation: Any, *, most: int = 3) -> Any:
        """As JSON tells it."""
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self._value(arguments[0], most=most)
        if origin in (typing.Union, types.UnionType):
            return self._value(self._one_of(arguments), most=most)
        if origin is tuple:
            return [self._value(arguments[0]) for _ in range(self._chance.randrange(4))]
        if annotation is type(None):
            return None
        if issubclass(annotation, BaseModel):
            return self._object(annotation)
        if issubclass(annotation, Enum):
            return self._one_of([one.value for one in annotation])
        if self._is(self._odd):
            return self._one_of(_ODD[annotation])
        if annotation is datetime:
            return (EPOCH + timedelta(minutes=self._chance.randrange(-100, 100))).isoformat()
        usual = {str: _IDS, int: range(most + 1), float: (0.5, 1.0, 10.0), bool: (True, True, False)}
        return self._one_of(usual[annotation])

    def _is(self, percent: int) -> bool:
        return self._chance.randrange(100) < percent

    def _one_of(self, values: typing.Sequence[Any]) -> Any:
        return self._chance.choice(values)


def _page_of(fact: type[Fact], payload: bytes) -> str:
    """The end of its subject."""
    if not fact.is_paged:
        return ""
    try:
        page = fact.model_validate_json(payload).subject_page()
    except ValueError:
        return ""
    return "" if page is None else f"-{page}"
