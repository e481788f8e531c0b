"""The NATS server's configuration: one user for each service, allowed what it writes and reads. Pure.

So the broker itself holds the rule that each kind of fact has one writer.
"""

import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from libs.common.bus import server_health, subjects
from libs.common.log import permissions
from libs.common.log.consumer_names import names_of, names_of_samples
from libs.common.log.permissions import Permissions
from libs.common.metrics.samples import Kind
from libs.common.services import COPIED, SERVICES
from libs.common.state.aggregates import written_by
from libs.supervisor import nats_accounts
from libs.supervisor.ports import HOST
from libs.supervisor.users import COMMANDS_USER, MIRROR_USER, PROVISION_USER

WRITES: Mapping[str, tuple[str, ...]] = {
    service: tuple(kind.filter for kind in written_by(service)) for service in SERVICES
}
"""The facts that each service may append."""

WORKS: Mapping[str, tuple[str, str]] = {
    "api": (subjects.COMMANDS_STREAM, subjects.COMMANDS_DURABLE),
    "reconciler": (subjects.EVENTS_STREAM, subjects.RECONCILER_DURABLE),
}
"""The stream and durable that wake a service."""

MEASURES: Mapping[str, tuple[Kind, ...]] = {
    "health": (Kind.USAGE,),
    "router": (Kind.REQUESTS, Kind.IN_FLIGHT),
}
"""The samples that each service may publish."""

READS_SAMPLES = ("api", "autoscaler")

LEADS = COPIED
"""Each by the lease that has the service's name."""

USERS = (PROVISION_USER, MIRROR_USER, *WRITES, COMMANDS_USER)
"""`provision` owns streams and durables, and `provision-mirror` the copy that other systems read; nobody else
may make, change or empty one. `commands` is for other systems: they ask by commands, and read what happened.
"""

SYSTEM_ACCOUNT = "SYS"
"""Named in `infra/nats/nats.conf`."""

SYSTEM_USERS = (server_health.USER,)
"""Of the system account: no stream or event of ours is there."""

_OWN_CONSUMERS = tuple(
    pattern.format(stream=subjects.EVENTS_STREAM)
    for pattern in (
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.INFO.{stream}",
        "$JS.API.STREAM.MSG.GET.{stream}",
        "$JS.API.DIRECT.GET.{stream}",
        "$JS.API.DIRECT.GET.{stream}.>",
        "$JS.API.CONSUMER.CREATE.{stream}",
        "$JS.API.CONSUMER.CREATE.{stream}.>",
        "$JS.API.CONSUMER.DURABLE.CREATE.{stream}.*",
        "$JS.API.CONSUMER.INFO.{stream}.*",
        "$JS.API.CONSUMER.LIST.{stream}",
        "$JS.API.CONSUMER.NAMES.{stream}",
        "$JS.API.CONSUMER.DELETE.{stream}.*",
        "$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
        "$JS.ACK.{stream}.>",
        "$JS.ACK.*.*.{stream}.>",
        "$JS.FC.{stream}.>",
        "$JS.FC.*.*.{stream}.>",
    )
)
"""Another system reads the events resumably, by consumers of its own on the mirror."""


def render(template: str, home: Path, *, port: int, public_keys: Mapping[str, str]) -> str:
    """The text of `nats.conf`, from the one in `infra/nats/`. public_keys: of each of `USERS` and
    `SYSTEM_USERS`, its nkey.
    """
    accounts = nats_accounts.make({user: permissions_of(user) for user in USERS}, public_keys)
    accounts[SYSTEM_ACCOUNT] = {
        "users": [nats_accounts.user_with(permissions_of(user), public_keys[user]) for user in SYSTEM_USERS]
    }
    return string.Template(template).substitute(
        LISTEN=_quoted(f"{HOST}:{port}"),
        STORE_DIR=_quoted(str(home / "nats" / "jetstream")),
        ACCOUNTS=_quoted(accounts),
    )


def _quoted(value: Any) -> str:
    """NATS reads JSON, but knows no \\u escapes."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def permissions_of(user: str) -> Permissions:
    """What a user may do; everything else is denied, and an answer to it never comes."""
    match user:
        case "provision" | "provision-mirror":
            return Permissions((">",), (">",))
        case "commands":
            # A plain client gets its answers under the common prefix, which no service uses.
            asks = (subjects.SUBMIT, subjects.DELETE, *_OWN_CONSUMERS)
            return Permissions(asks, ("events.>", *subjects.ANSWERS, "_INBOX.>"))
        case server_health.USER:
            return Permissions((server_health.REQUEST,), (f"{server_health.INBOX}.>",))
        case "api":
            outcomes = permissions.keeper(subjects.OUTCOMES_STREAM, subjects.OUTCOMES_ROOT)
            reasoning = permissions.entry_reader(subjects.SCALING_STREAM)
            asks = (f"$JS.API.STREAM.MSG.GET.{subjects.CHECKS_STREAM}",)
            says = (*subjects.ANSWERS, subjects.WRITE_PROBE, *asks)
            reads = reasoning + permissions.tail_reader()
            return _service(user) + outcomes + reads + Permissions(says, (subjects.HEARTBEATS,))
        case "autoscaler":
            kept = permissions.keeper(subjects.SCALING_STREAM, subjects.SCALING_ROOT)
            return _service(user) + kept + permissions.gatherer(subjects.SCALING_STREAM)
        case "health":
            return _service(user) + permissions.tail_keeper() + Permissions((subjects.checks("*"),))
        case _:
            return _service(user)


def _service(name: str) -> Permissions:
    allowed = (
        permissions.service(name) + permissions.reader(names_of(name)) + permissions.appender(WRITES[name])
    )
    if name in WORKS:
        allowed += permissions.worker(*WORKS[name])
    if name in MEASURES:
        allowed += permissions.measurer(MEASURES[name])
    if name in READS_SAMPLES:
        allowed += permissions.reader(names_of_samples(name), subjects.METRICS_STREAM)
    if name in LEADS:
        allowed += permissions.keeper(subjects.LEASES_STREAM, subjects.LEASES_ROOT, name)
    return allowed
