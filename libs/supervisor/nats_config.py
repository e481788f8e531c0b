"""The NATS server's configuration: one user for each service, allowed what it writes and reads. Pure.

So the broker itself holds the rule that each kind of fact has one writer.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from libs.common.bus import subjects
from libs.common.log import permissions
from libs.supervisor.ports import HOST

COMMANDS_USER = "commands"
"""For other systems: they ask by commands, and read what happened."""

PROVISION_USER = "provision"
"""Owns streams and durables; nobody else may make, change or empty one."""

WRITES: Mapping[str, tuple[str, ...]] = {
    "api": ("events.*.name.>", "events.*.project.>", "events.*.deployment.>"),
    "reconciler": ("events.*.rollout.>",),
    "health": ("events.*.replica.>",),
    "autoscaler": (),
    "router": ("events.*.traffic.>",),
}
"""The facts that each service may append."""

WORKS: Mapping[str, tuple[str, str]] = {
    "api": (subjects.COMMANDS_STREAM, subjects.COMMANDS_DURABLE),
    "reconciler": (subjects.EVENTS_STREAM, subjects.RECONCILER_DURABLE),
}
"""The stream and durable that wake a service."""

USERS = (PROVISION_USER, *WRITES, COMMANDS_USER)

_REJECTED = subjects.rejected("*")


def render(home: Path, *, port: int, public_keys: Mapping[str, str]) -> str:
    """The text of `nats.conf`. public_keys: the public nkey of each of `USERS`.

    `sync_interval: always`: a write is on the disk before it is acknowledged (promise 1).
    """
    configuration = {
        "server_name": "specstream",
        "listen": f"{HOST}:{port}",
        "jetstream": {"store_dir": str(home / "nats" / "jetstream"), "sync_interval": "always"},
        "authorization": {
            "users": [{"nkey": public_keys[user], "permissions": _permissions(user)} for user in USERS]
        },
    }
    # NATS reads JSON, but knows no \u escapes.
    return json.dumps(configuration, indent=2, ensure_ascii=False) + "\n"


def _permissions(user: str) -> dict[str, Any]:
    match user:
        case "provision":
            return {"publish": {"allow": [">"]}, "subscribe": {"allow": [">"]}}
        case "commands":
            # The replies to a plain client come under the common prefix, those to services never do.
            return {
                "publish": {
                    "allow": ["commands.>", *permissions.reader()],
                    "deny": list(_of_durable(*WORKS["reconciler"])),
                },
                "subscribe": {"allow": ["events.>", _REJECTED, "_INBOX.>"]},
            }
        case _:
            return _service(user)


def _service(name: str) -> dict[str, Any]:
    publish = [subjects.heartbeat(name), *permissions.reader(), *permissions.appender(WRITES[name])]
    subscribe = [f"_INBOX_{name}.>"]
    if name in WORKS:
        publish += permissions.worker(*WORKS[name])
    if name == "api":
        publish.append(_REJECTED)
        subscribe.append(subjects.HEARTBEATS)
    return {"publish": {"allow": publish}, "subscribe": {"allow": subscribe}}


def _of_durable(stream: str, durable: str) -> Iterable[str]:
    """Everything that touches a durable of ours: an outsider may have consumers of his own, not this one."""
    return (
        f"$JS.API.CONSUMER.*.{stream}.{durable}",
        f"$JS.API.CONSUMER.*.{stream}.{durable}.>",
        f"$JS.API.CONSUMER.*.*.{stream}.{durable}",
        f"$JS.ACK.{stream}.{durable}.>",
        f"$JS.ACK.*.*.{stream}.{durable}.>",
    )
