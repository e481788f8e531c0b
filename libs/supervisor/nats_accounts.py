"""The NATS server's accounts: one for each user, and two that hold streams. Pure.

Permissions say what a user may name as a subject. They do not hold where the server sends its answers: a
user may name any subject of its account as the reply to a request, and so had an answer stored as an event,
or a stream deleted by one. So each user has an account of its own, in which nothing is but what it imports:
what it may publish is a service of the account with the streams, what it may hear is a stream of it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from libs.common.bus import subjects
from libs.common.events.envelope import ROOT
from libs.common.log import mirror_subjects
from libs.common.log.filters import covers
from libs.common.log.permissions import Permissions
from libs.supervisor.users import COMMANDS_USER, MIRROR_USER, PROVISION_USER

PLATFORM = subjects.PLATFORM_ACCOUNT
"""Holds every stream of ours. Only the user that provisions them is in it."""

MIRROR = subjects.MIRROR_ACCOUNT
"""Holds the copy of the events that other systems read. Only the user that provisions it is in it."""

NOWHERE = "nowhere"
"""A subject to which nobody listens."""

_ACCOUNT_INFO = "$JS.API.INFO"
_EVENTS = f"{ROOT}.>"

MEMORY_OF_CONSUMERS = 64 * 1024 * 1024

_SEVERAL_ANSWERS = ("$JS.API.DIRECT.GET.", "$JS.API.CONSUMER.MSG.NEXT.")

_ANSWERED_WITHIN = {PLATFORM: "15s", MIRROR: "5m"}
"""How long the server keeps the way back to who asked for a stream of answers, counted from the last one.
Our own services wait for a second; another system may wait for the next event as long as this."""


class Import(NamedTuple):
    kind: str
    """`service` for what is published, `stream` for what is heard."""
    subject: str
    source: str
    """The exporting account."""
    to: str | None = None
    """What it is called in the importing account, where that differs."""


def make(permissions: Mapping[str, Permissions], public_keys: Mapping[str, str]) -> dict[str, Any]:
    """The accounts by name, as the server's configuration has them. public_keys: the nkey of each user."""
    accounts = {account_of(user): _account(user, permissions, public_keys[user]) for user in permissions}
    accounts[PLATFORM]["jetstream"] = "enabled"
    # Nothing but the mirror fits, and its consumers are bounded.
    accounts[MIRROR]["jetstream"] = {
        "max_mem": MEMORY_OF_CONSUMERS,
        "max_file": -1,
        "max_streams": 1,
        "max_consumers": mirror_subjects.MOST_CONSUMERS,
    }
    importers: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for user in permissions:
        for one in imports(user, permissions):
            importers[one.source, one.kind, one.subject].append(account_of(user))
    for source, kind, subject in sorted(importers):
        export = _export(source, kind, subject, importers[source, kind, subject])
        accounts[source].setdefault("exports", []).append(export)
    return accounts


def account_of(user: str) -> str:
    match user:
        case "provision":
            return PLATFORM
        case "provision-mirror":
            return MIRROR
        case _:
            return user


def imports(user: str, permissions: Mapping[str, Permissions]) -> Iterator[Import]:
    """All that there is in a user's account. permissions: of every user."""
    match user:
        case "provision":
            return
        case "provision-mirror":
            for subject in mirror_subjects.REQUESTS:
                yield Import("service", subject, PLATFORM, mirror_subjects.LOCAL_NAMES.get(subject))
            yield Import("stream", f"{mirror_subjects.DELIVER}.>", PLATFORM)
        case _:
            allowed = permissions[user]
            streams = MIRROR if user == COMMANDS_USER else PLATFORM
            if _ACCOUNT_INFO not in allowed.publish:
                # An account that has no import of this name is given one by the server, for all of
                # `$JS.API.>`, and each of its requests a second answer: that JetStream is not enabled.
                yield Import("service", NOWHERE, PLATFORM, _ACCOUNT_INFO)
            for subject in allowed.publish:
                yield Import("service", subject, streams if subject.startswith("$JS.") else PLATFORM)
            for subject in allowed.subscribe:
                if subject.startswith("_INBOX"):
                    yield Import("stream", subject, streams)
                elif subject == _EVENTS:
                    yield Import("stream", subject, PLATFORM)
                else:
                    yield from _said_by_others(user, subject, permissions)


def _said_by_others(user: str, subject: str, permissions: Mapping[str, Permissions]) -> Iterator[Import]:
    """What users publish is heard from their own accounts: from the platform's the server hands on only what
    it says there itself."""
    for other, allowed in permissions.items():
        if other not in {user, PROVISION_USER, MIRROR_USER}:
            said = (one for one in allowed.publish if covers(subject, one))
            yield from (Import("stream", one, account_of(other)) for one in said)


def user_with(allowed: Permissions, public_key: str) -> dict[str, Any]:
    """A user as the server's configuration has it."""
    rules = {"publish": {"allow": allowed.publish}, "subscribe": {"allow": allowed.subscribe}}
    return {"nkey": public_key, "permissions": rules}


def _account(user: str, permissions: Mapping[str, Permissions], public_key: str) -> dict[str, Any]:
    account: dict[str, Any] = {"users": [user_with(permissions[user], public_key)]}
    if own := [_import(one) for one in imports(user, permissions)]:
        account["imports"] = own
    return account


def _import(one: Import) -> dict[str, Any]:
    wanted: dict[str, Any] = {one.kind: {"account": one.source, "subject": one.subject}}
    return wanted if one.to is None else {**wanted, "to": one.to}


def _export(source: str, kind: str, subject: str, importers: list[str]) -> dict[str, Any]:
    offered: dict[str, Any] = {kind: subject, "accounts": sorted(importers)}
    if kind == "service" and subject.startswith(_SEVERAL_ANSWERS):
        offered |= {"response_type": "stream", "response_threshold": _ANSWERED_WITHIN[source]}
    return offered
