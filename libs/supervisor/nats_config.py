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
from libs.common.log.permissions import Permissions
from libs.supervisor.ports import HOST

COMMANDS_USER = "commands"
"""For other systems: they ask by commands, and read what happened."""

PROVISION_USER = "provision"
"""Owns streams and durables; nobody else may make, change or empty one."""

WRITES: Mapping[str, tuple[str, ...]] = {
    "api": ("events.*.name.*.*", "events.*.project.*.*", "events.*.deployment.*.*"),
    "reconciler": ("events.*.rollout.*.*",),
    "health": ("events.*.replica.*.*",),
    "autoscaler": (),
    "router": ("events.*.traffic.*.*",),
}
"""The facts that each service may append."""

WORKS: Mapping[str, tuple[str, str]] = {
    "api": (subjects.COMMANDS_STREAM, subjects.COMMANDS_DURABLE),
    "reconciler": (subjects.EVENTS_STREAM, subjects.RECONCILER_DURABLE),
}
"""The stream and durable that wake a service."""

USERS = (PROVISION_USER, *WRITES, COMMANDS_USER)

SYSTEM_USERS = (server_health.USER,)
"""Of the system account: no stream or event of ours is there."""

_REJECTED = subjects.rejected("*")

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
        "$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
        "$JS.ACK.{stream}.>",
        "$JS.ACK.*.*.{stream}.>",
        "$JS.FC.{stream}.>",
        "$JS.FC.*.*.{stream}.>",
    )
)
"""Another system reads the events resumably, by consumers of its own ..."""

_RECONCILERS_DURABLE = tuple(
    pattern.format(stream=subjects.EVENTS_STREAM, durable=subjects.RECONCILER_DURABLE)
    for pattern in (
        "$JS.API.CONSUMER.*.{stream}.{durable}",
        "$JS.API.CONSUMER.*.{stream}.{durable}.>",
        "$JS.API.CONSUMER.*.*.{stream}.{durable}",
        "$JS.ACK.{stream}.{durable}.>",
        "$JS.ACK.*.*.{stream}.{durable}.>",
    )
)
"""... but not by ours."""


def render(template: str, home: Path, *, port: int, public_keys: Mapping[str, str]) -> str:
    """The text of `nats.conf`, from the one in `infra/nats/`. public_keys: of each of `USERS` and
    `SYSTEM_USERS`, its nkey.
    """
    users = [{"nkey": public_keys[user], "permissions": _rules(user)} for user in USERS]
    monitors = [{"nkey": public_keys[user], "permissions": _rules(user)} for user in SYSTEM_USERS]
    return string.Template(template).substitute(
        LISTEN=_quoted(f"{HOST}:{port}"),
        STORE_DIR=_quoted(str(home / "nats" / "jetstream")),
        USERS=_quoted(users),
        SYSTEM_USERS=_quoted(monitors),
    )


def _quoted(value: Any) -> str:
    """NATS reads JSON, but knows no \\u escapes."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def permissions_of(user: str) -> Permissions:
    """What a user may do; everything else is denied, and an answer to it never comes."""
    match user:
        case "provision":
            return Permissions((">",), (">",))
        case "commands":
            # A plain client gets its answers under the common prefix, which no service uses.
            return Permissions(("commands.>", *_OWN_CONSUMERS), ("events.>", _REJECTED, "_INBOX.>"))
        case server_health.USER:
            return Permissions((server_health.REQUEST,), (f"{server_health.INBOX}.>",))
        case "api":
            return _service(user) + Permissions((_REJECTED, subjects.WRITE_PROBE), (subjects.HEARTBEATS,))
        case _:
            return _service(user)


def _service(name: str) -> Permissions:
    allowed = permissions.service(name) + permissions.reader() + permissions.appender(WRITES[name])
    return allowed + permissions.worker(*WORKS[name]) if name in WORKS else allowed


def _rules(user: str) -> dict[str, Any]:
    allowed = permissions_of(user)
    publish: dict[str, Any] = {"allow": allowed.publish}
    if user == COMMANDS_USER:
        publish["deny"] = _RECONCILERS_DURABLE
    return {"publish": publish, "subscribe": {"allow": allowed.subscribe}}
