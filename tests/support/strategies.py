"""Hypothesis strategies: specs as clients write them, facts of every type, and histories of a deployment."""

import types
import typing
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from libs.common.events.catalogue import CATALOGUE, encode
from libs.common.events.envelope import GENESIS, Aggregate, Cause, Recorded, chain_hash
from libs.common.events.fact import Fact, MadeId
from libs.common.events.replica import ReplicaFact, RosterRecorded
from libs.common.events.traffic import EndpointsWithdrawn
from libs.common.machine_types.reading import bundled
from libs.common.spec.model import Autoscaling, Spec
from libs.common.spec.text import HOP_BY_HOP, is_secret_reference
from tests.support.specs import parse_spec

ROUTERS = ("router", "router-2", "router-3")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

_CONTROL = [chr(c) for c in (*range(32), *range(127, 160))]
_lines = st.characters(codec="utf-8", exclude_characters=_CONTROL)
_texts = st.characters(codec="utf-8", exclude_characters=[c for c in _CONTROL if c not in "\t\n"])

names = st.text(_lines, min_size=1, max_size=200)
"""Names of deployments and projects."""

arguments = st.text(_texts, max_size=40).filter(lambda text: not is_secret_reference(text))
_ids = st.sampled_from(["a" * 32, "b" * 32, "c" * 32])
_reserved = ("PORT", "SPECSTREAM_")
_env_names = st.text(
    st.characters(codec="utf-8", exclude_characters=[*_CONTROL, "="]), min_size=1, max_size=20
).filter(lambda name: not name.startswith(_reserved))
_whole = st.integers(1, 2_147_483_647)
_unsendable = {*HOP_BY_HOP, "host"}


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def _checks(ports: list[int]) -> st.SearchStrategy[dict[str, Any]]:
    header = st.fixed_dictionaries(
        {
            "name": st.from_regex(r"\A[A-Za-z-]{1,12}\Z").filter(
                lambda name: name.lower() not in _unsendable
            ),
            "value": st.from_regex(r"\A[\x20-\x7e]{0,20}\Z").filter(
                lambda text: not is_secret_reference(text)
            ),
        }
    )
    check = st.fixed_dictionaries(
        {"path": st.from_regex(r"\A/[a-z0-9/?=._-]{0,20}\Z")},
        optional={
            "port": st.sampled_from(ports),
            "host": st.from_regex(r"\A[a-z][a-z0-9]{0,9}(\.[a-z]{1,5}){0,2}\Z"),
            "headers": st.lists(header, max_size=3),
            "initialDelaySeconds": st.integers(0, 2_147_483_647),
            "periodSeconds": _whole,
            "timeoutSeconds": _whole,
            "failureThreshold": _whole,
        },
    )
    return _optional(startup=check, readiness=check, liveness=check)


def _autoscaling(replicas: int) -> st.SearchStrategy[dict[str, Any]]:
    resource = st.floats(0.001, 100) | st.integers(1, 100)
    metric = st.sampled_from(["cpu", "memory", "requestDuration"]).flatmap(
        lambda name: st.fixed_dictionaries(
            {
                "metric": st.just(name),
                "summary": st.just("average"),
                "value": st.floats(0.001, 1e9) if name == "requestDuration" else resource,
            }
        )
    )
    rate = st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Pods", "Percent"]),
            "value": _whole,
            "periodSeconds": st.integers(1, 1800),
        }
    )
    direction = _optional(
        stabilizationWindowSeconds=st.integers(0, 3600),
        selectPolicy=st.sampled_from(["Max", "Min", "Disabled"]),
        policies=st.lists(rate, min_size=1, max_size=3),
        tolerance=st.floats(0, 10),
    )
    concurrency = _optional(
        target=_whole,
        targetUtilizationPercentage=st.integers(1, 100),
        windowSeconds=st.integers(10, 3600),
        scaleDownDelaySeconds=st.integers(0, 3600),
        maxScaleDownRatePercent=st.integers(1, 50),
    )
    most = {"maxReplicas": st.integers(max(1, replicas), 1000)}
    enabled = {"enabled": st.booleans()}
    metrics = st.lists(metric, min_size=1, unique_by=lambda one: one["metric"])
    behavior = _optional(scaleUp=direction, scaleDown=direction)
    return st.fixed_dictionaries(
        {**most, "metrics": metrics}, optional={**enabled, "behavior": behavior}
    ) | st.fixed_dictionaries({**most, "concurrency": concurrency}, optional=enabled)


def autoscalings() -> st.SearchStrategy[Autoscaling]:
    """Of stored specs."""
    return _autoscaling(1).map(Autoscaling.model_validate)


@st.composite
def sent_specs(draw: st.DrawFn) -> dict[str, Any]:
    """Valid specs in the shape of v1, as a client sends them: defaults left out at will."""
    ports = draw(st.lists(st.integers(1, 65535), min_size=1, max_size=3, unique=True))
    env = st.builds(lambda name, value: {"name": name, "value": value}, _env_names, arguments)
    resources: dict[str, Any] = {
        "ports": ports,
        "machineType": draw(st.sampled_from(sorted(bundled()))),
        **draw(_optional(replicas=st.integers(0, 1000))),
    }
    resources |= draw(_optional(autoscaling=_autoscaling(resources.get("replicas", 1))))
    return {
        "name": draw(names),
        "image": draw(
            st.from_regex(r"\A[a-z0-9]{1,5}(/[a-z0-9]{1,5}){0,2}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,5})?\Z")
        ),
        "resources": resources,
        **draw(
            _optional(
                apiVersion=st.sampled_from(["v1", "v0alpha1", "latest"]),
                enabled=st.booleans(),
                command=st.lists(arguments, min_size=1, max_size=4).filter(lambda command: command[0]),
                env=st.lists(env, max_size=4, unique_by=lambda entry: entry["name"]),
                integrations=st.just([]),
                **{draw(st.sampled_from(["healthChecks", "healthchecks"])): _checks(ports)},
            )
        ),
    }


specs: st.SearchStrategy[Spec] = sent_specs().map(parse_spec)
"""Stored specs."""

_small_specs = st.builds(
    lambda name, replicas, enabled, port: Spec(
        name=name,
        image="example/app:1",
        enabled=enabled,
        resources={"machineType": "C4", "ports": [port], "replicas": replicas},
    ),
    st.text(_lines, min_size=1, max_size=5),
    st.integers(0, 1000),
    st.booleans(),
    st.integers(1, 65535),
)
"""Quick to draw, for where what a spec holds does not matter."""


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    """Any valid value of a fact's field."""
    origin, arguments_ = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([_values(argument) for argument in arguments_])
    if origin is typing.Annotated:
        return _ids if annotation == MadeId else _values(arguments_[0])
    if origin is tuple:
        return st.lists(_values(arguments_[0]), max_size=3).map(tuple)
    if annotation is type(None):
        return st.none()
    if annotation is str:
        return st.one_of(_ids, st.text(max_size=10))
    if annotation is bool:
        return st.booleans()
    if annotation is float:
        return st.floats(0, 1000)
    if annotation is int:
        return st.integers(0, 1000)
    if annotation is datetime:
        return st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds the zone
    if annotation is Spec:
        return _small_specs
    if annotation is Autoscaling:
        return autoscalings()
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    return _models(annotation)


_MADE = {"replica_id", "run_id", "spec_id", "stretch_id"}


def _models(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    fields = {
        name: _ids if name in _MADE else _values(field.annotation)
        for name, field in model.model_fields.items()
    }
    if issubclass(model, ReplicaFact):
        fields["roster"] = st.none()  # of version 1, which nobody writes any more
    if issubclass(model, RosterRecorded):
        fields |= {"page": st.integers(0, 2), "pages": st.just(3)}  # a page is emptied before it is dropped
    if issubclass(model, EndpointsWithdrawn):
        fields["router"] = st.sampled_from(ROUTERS)
    return st.builds(model, **fields)


def facts(*event_types: str) -> st.SearchStrategy[Fact]:
    """Facts of these types with arbitrary valid content, or of any type in the catalogue."""
    return st.one_of([_models(CATALOGUE[name]) for name in event_types or CATALOGUE])


def recorded(fact: Fact | None, sequence: int, *, aggregate_id: str, previous: str = GENESIS) -> Recorded:
    """An event as a log gives it back; `fact` None makes one of a type that nobody knows."""
    event_type = fact.event_type() if fact else "SomethingNew"
    data = encode(fact) if fact else b"{}"
    aggregate = Aggregate("default", fact.aggregate if fact else "deployment", aggregate_id)
    page = fact.subject_page() if fact else None
    event_id = f"{sequence:032x}"
    return Recorded(
        sequence=sequence,
        time=EPOCH + timedelta(seconds=sequence),
        aggregate=aggregate,
        type=event_type,
        event_id=event_id,
        data={},
        fact=fact,
        cause=Cause("key:default", correlation_id=f"{sequence:032x}"),
        hash=chain_hash(previous, aggregate.subject(event_type, page), event_id, event_type, data),
        page=page,
    )


def histories(
    *event_types: str, aggregate_ids: tuple[str, ...] = ("a" * 32,), max_size: int = 20
) -> st.SearchStrategy[list[Recorded]]:
    """Events in sequence order, with gaps; unknown types among them."""
    step = st.tuples(
        st.one_of(st.none(), facts(*event_types)), st.sampled_from(aggregate_ids), st.integers(1, 3)
    )

    def number(steps: list[tuple[Fact | None, str, int]]) -> list[Recorded]:
        events: list[Recorded] = []
        for fact, aggregate_id, gap in steps:
            sequence = (events[-1].sequence if events else 0) + gap
            events.append(recorded(fact, sequence, aggregate_id=aggregate_id))
        return events

    return st.lists(step, max_size=max_size).map(number)


def newest_of_each_subject(events: list[Recorded]) -> list[Recorded]:
    """What a last-per-subject read of these events gives, in sequence order."""
    return sorted({event.subject: event for event in events}.values(), key=lambda event: event.sequence)
