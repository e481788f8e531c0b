"""Writes the parts of the reference that the code knows best: `make docs`. A test holds them to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from typer.cli import get_docs_for_click

from libs.cli.main import app
from libs.common.events.catalogue import dataschema, readable_dataschemas
from libs.common.events.fact import Fact
from libs.common.log import mirror_subjects
from libs.common.log.jetstream import mirror
from libs.common.log.streams import make_streams
from libs.common.state.aggregates import AGGREGATES
from libs.common.telemetry.instruments import INSTRUMENTS, Instrument, prometheus_name
from libs.supervisor import nats_accounts
from services.api import asyncapi

_MIB = 1024 * 1024

REFERENCE = Path(__file__).parent / "reference"

EVENTS_HEAD = """# Events

Made by `make docs` from the catalogue; do not edit.

Every event is a CloudEvent in binary mode on the stream `EVENTS`, subject
`events.<project_id>.<aggregate>.<aggregate_id>.<type>`. The payload is JSON. Headers:

| header | says |
|---|---|
| `ce-id` | the event's id; also `Nats-Msg-Id` |
| `ce-type` | its type, with which the last token of the subject begins |
| `ce-source` | `specstream/<service>`: who appended it |
| `ce-subject` | the aggregate's id |
| `ce-time` | when it was appended |
| `ce-dataschema` | type and version of the payload |
| `ce-actor` | who is answerable, as authenticated: `key:default`, `service:health`, `command:<user>` |
| `ce-correlationid` | the request or command that the whole chain goes back to |
| `ce-causationid` | the event or command that led to this one directly, where that is known |
| `ce-causationsource` | where that is a command: the source that its publisher claims |
| `ce-hash` | chains the event to the one before it in its aggregate, see below |
| `traceparent` | W3C trace context |

The hash is `2:` and the sha256, in hexadecimal, of four parts, before each its length in eight bytes,
big-endian: the hash of the aggregate's previous event as it is stored there (empty for the first), the
subject, the headers, the payload. The headers are a line `name:value` and a line feed for each, sorted by
name, without `ce-hash` and without those whose names begin with `Nats-` or `specstream-`. A hash without
`2:` is of version 1, which older releases wrote: over the previous hash, subject, id, type and payload.
Within one aggregate version 2 is never followed by 1.

A message under the subject of an event whose `ce-type`, `ce-subject` or `ce-dataschema` does not fit that
subject, or that has no `ce-id` or no `ce-hash`, is no event: no part of Specstream takes it for a fact.

The last token is `<type>`, or `<type>-<page>` for a type whose facts each hold one page of something larger:
the newest event of each page together say how all of it is.

A consumer follows with its own ordered consumer and remembers the stream sequence; REST does the same by
`GET /v1/events?after=<sequence>`. A payload is absolute: the newest event of a subject says how things are.
One that is not understood changes nothing: then the newest before it says so.

The command that led to an event is named by its `ce-causationsource` and `ce-causationid`. In events of
earlier versions, which have no such header, the source of the command is the actor.

Other systems read a copy of that name, with the same sequences, by consumers whose names are theirs alone. A
consumer names the stream, `EVENTS`: the server does not find it by the subjects that it stores.
[examples/events/follow.py](../../examples/events/follow.py) reads so, and goes on where it left off.

A plain subscription to `events.>`, without a consumer, hears what is stored, once it is, in that order, and
nothing else; `Nats-Sequence` says its place. What is stored while it is away it misses: a consumer does not.
"""


def events() -> str:
    """The reference of every event, by aggregate."""
    return "\n".join([EVENTS_HEAD, *_events()])


def _events() -> Iterator[str]:
    for kind in AGGREGATES:
        yield f"## `{kind.name}`, written by {kind.writer}\n"
        for fact in kind.facts:
            yield from _event(fact)


def _event(fact: type[Fact]) -> Iterator[str]:
    yield f"### {fact.event_type()}\n"
    yield f"{_paragraph(fact.__doc__)}\n"
    earlier = [f"`{schema}`" for schema in readable_dataschemas(fact)[:-1]]
    also = f"; earlier ones that are read as well: {', '.join(earlier)}" if earlier else ""
    yield f"`dataschema`: `{dataschema(fact)}`{also}\n"
    if fact.is_paged:
        yield f"The last token of its subject is {_last_token(fact)}.\n"
    schema = fact.model_json_schema()
    if not schema.get("properties"):
        yield "No fields.\n"
        return
    yield "| field | type |\n|---|---|"
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {_type(field, schema.get('$defs', {}))} |"
    yield ""


def _last_token(fact: type[Fact]) -> str:
    name = fact.event_type()
    if "page" in fact.model_fields:
        return f"`{name}-<page>`"
    return f"`{name}` where it is of the first router, `{name}-2` where it is of `router-2`"


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "anyOf" in field:
        return ", or ".join(_type(option, definitions) for option in field["anyOf"])
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[-1]
        values = definitions[name].get("enum")
        return f"one of {', '.join(f'`{value}`' for value in values)}" if values else f"a {name}"
    if field.get("type") == "array":
        return f"list of {_type(field['items'], definitions)}"
    if field.get("type") == "null":
        return "absent"
    return str(field.get("format", field.get("type", "any")))


def _paragraph(docstring: str | None) -> str:
    return "\n".join(line.strip() for line in (docstring or "").strip().splitlines())


def cli() -> str:
    """The reference of the `specstream` command."""
    command = typer.main.get_command(app)
    context = typer.Context(command)
    text = get_docs_for_click(obj=command, ctx=context, name="specstream", title="CLI")
    return f"{text.replace('# CLI', CLI_HEAD, 1).rstrip()}\n"


CLI_HEAD = """# CLI

Made by `make docs` from the commands; do not edit.

`bin/specstream` in the clone runs without activating anything and reads the same environment variables as
`make up`. A deployment is named by its name or its id. A project is named by its id,
which [`projects list`](#specstream-projects-list) shows.

Exit status: 0 done, 1 the outcome is not what was asked, or nobody answers, 2 usage, 3 the key is refused,
4 not found, 5 refused for another reason, 6 the platform failed, 130 interrupted."""

STREAMS_HEAD = """# Streams

Made by `make docs` from what `provision` makes; do not edit.

Every stream of the broker, how much it keeps, and what happens to the next message when it is full. The disk
is one more limit, for all of them together.

| account | stream | holds | stored | keeps | at most | when full |
|---|---|---|---|---|---|---|"""

STREAMS_TAIL = """
The account `mirror` has room for that stream and for {consumers} consumers of other systems together, with
at most {memory} MiB of memory. The account `platform` has no limit of its own.
"""

HOLDS = {
    "EVENTS": "every fact: the truth",
    "COMMANDS": "requests of other systems; answers to them pass through it and are not kept",
    "OUTCOMES": "what became of each command, so that a repeat gets the first answer",
    "KV_SCALING": "the present reasoning about each deployment's scaling; what is lost is worked out again",
    "KV_LEASES": "which copy of a service leads",
    "TAILS": "the last that crashed and gone replicas wrote, ten of a deployment, where the cluster forgets",
    "SIGNALS": "heartbeats",
    "METRICS": "what was measured of replicas and requests",
    "CHECKS": "how the checks of each deployment's replicas stand, as health told last",
    "PROBES": "the newest attempt to write, by which the api tells whether the log can be written",
    "PARKED": "the broker's notes of messages that a worker gave up",
}
"""What each stream is for; without it the page cannot be made."""


def streams() -> str:
    """The table of every stream, its limits and its policy."""
    rows = [
        _stream("platform", plan.wanted, HOLDS[str(plan.wanted.name)]) for plan in make_streams(replicas=1)
    ]
    copy = _stream(
        "mirror", mirror.wanted(), "the copy of EVENTS that other systems read, with its sequences"
    )
    tail = STREAMS_TAIL.format(
        consumers=mirror_subjects.MOST_CONSUMERS, memory=nats_accounts.MEMORY_OF_CONSUMERS // _MIB
    )
    return "\n".join([STREAMS_HEAD, *rows, copy, tail])


def _stream(account: str, config: StreamConfig, holds: str) -> str:
    drops_oldest = config.discard is DiscardPolicy.OLD
    keeps = [
        *(["each until it is handled"] if config.retention is RetentionPolicy.INTEREST else []),
        *(
            [f"the newest {config.max_msgs_per_subject} of a subject"]
            if config.max_msgs_per_subject > 0
            else []
        ),
        *([_duration(config.max_age)] if config.max_age else []),
    ]
    limits = [
        *([f"{config.max_bytes // _MIB or 1} MiB"] if (config.max_bytes or -1) > 0 else []),
        *([f"{config.max_msgs:,} messages"] if (config.max_msgs or -1) > 0 else []),
    ]
    is_copy = config.mirror is not None
    full = "the oldest goes" if drops_oldest else "the next is refused"
    cells = (
        f"`{account}`",
        f"`{config.name}`",
        holds,
        "in memory" if config.storage is StorageType.MEMORY else "on the disk",
        ", ".join(keeps) or ("what EVENTS keeps" if is_copy else "for ever"),
        ", ".join(limits) or ("as much as EVENTS" if is_copy else "no limit, by policy"),
        "it waits, behind EVENTS" if is_copy else full if limits else f"{full}, by a full disk alone",
    )
    return f"| {' | '.join(cells)} |"


def _duration(seconds: float) -> str:
    days, minutes = divmod(int(seconds) // 60, 24 * 60)
    return f"{days} days" if days else f"{minutes} minutes"


METRICS_HEAD = """# Metrics

Made by `make docs` from `libs/common/telemetry/instruments.py`; do not edit.

Every instrument of the services. With `OTEL_EXPORTER_OTLP_ENDPOINT` they are sent every 5 s over OTLP/gRPC,
under the names in the first column. With `SPECSTREAM_METRICS=prometheus` nothing is sent: each service
answers `GET /metrics` at a port of its own on 127.0.0.1, under the names in the second column, to whoever
presents the token that is in `run/metrics-token` of the home. `run/prometheus-targets.json` lists the
ports, in the form of Prometheus' `file_sd_configs` ([operate.md](../how-to/operate.md)). Each target has two
labels: `service`, which all copies of a service share, and `process`, by which they are told from each other
(`autoscaler`, `autoscaler-2`). The attribute `service` of an instrument becomes `exported_service` beside
them, as Prometheus does it. The alert rules are in `infra/prometheus/`, dashboards in `infra/grafana/`.

An attribute has one of the values listed, or `other`. So many deployments as
`SPECSTREAM_METRICS_DEPLOYMENTS` says have series of their own in each service, the busiest of those that
came first; all others are `other`. A deployment that has one keeps it for as long as the process lives, and
what was counted as `other` stays there: no series of a counter falls.

A gauge says what is so now: its series ends when nothing is known any more, and `other` is the sum of the
others, or what its row says. Of what is asked of deployments and decisions only the copy of the autoscaler
that leads tells; how long something is so is counted by that process, and only for how long a deployment has
been at its maximum or without measurements is remembered over a restart.

| instrument | for Prometheus | kind | unit | counts | attributes |
|---|---|---|---|---|---|"""


def metrics() -> str:
    """The table of every instrument."""
    return "\n".join([METRICS_HEAD, *map(_instrument, INSTRUMENTS.values()), ""])


def _instrument(each: Instrument) -> str:
    attributes = "<br>".join(
        f"`{name}`: {', '.join(f'`{value}`' for value in values) if values else 'an id, or `other`'}"
        for name, values in each.attributes.items()
    )
    cells = (
        f"`{each.name}`",
        f"`{prometheus_name(each)}`",
        each.kind,
        each.unit,
        each.description,
        attributes,
    )
    return f"| {' | '.join(cells)} |"


PAGES = {
    "metrics.md": metrics,
    "events.md": events,
    "streams.md": streams,
    "cli.md": cli,
    "asyncapi.yaml": asyncapi.render,
}


def main() -> None:
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make())


if __name__ == "__main__":
    main()
