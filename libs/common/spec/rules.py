"""What several fields of a spec must be together. Each rule reads the spec as sent and yields its issues."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from libs.common.errors import Issue
from libs.common.spec.autoscaling import autoscaling_is_consistent
from libs.common.spec.raw import CHECKS_SPELLINGS, arguments, checks, listing, mapping, text, whole
from libs.common.spec.shown import shown
from libs.common.spec.text import HOP_BY_HOP, HOST, RESERVED_VARIABLE

Raw = Mapping[str, Any]

MAX_ARGUMENT_BYTES = 131_071
"""The longest argument or `NAME=value` with which Linux starts a process."""

MAX_ARGUMENTS_BYTES = 512 * 1024
"""All of `command` and `env` together, counted as execve does. Linux takes 2 MiB with the usual stack limit;
the event that registers a spec takes less than that."""

MAX_SPEC_BYTES = 768 * 1024
"""The spec as it is stored: with the rest of its event it stays below the broker's limit of 1 MiB."""

MAX_REPOSITORY_LENGTH = 255

A_PROGRAM = "the name or the path of a program"

_HTTP_FIELDS = ("path", "port", "host", "headers")


def broken_rules(raw: Raw) -> Iterator[Issue]:
    for rule in (
        one_spelling_of_health_checks,
        ports_are_unique,
        env_names_are_unique_and_free,
        arguments_can_start_a_process,
        arguments_fit_together,
        image_repository_is_short,
        headers_can_be_sent,
        checks_have_one_form,
        checks_use_the_ports,
        autoscaling_is_consistent,
        integrations_are_consistent,
    ):
        yield from rule(raw)


def one_spelling_of_health_checks(raw: Raw) -> Iterator[Issue]:
    if all(spelling in raw for spelling in CHECKS_SPELLINGS):
        yield Issue(
            ("healthchecks",),
            "is another spelling of healthChecks: give one of them",
            None,
            list(CHECKS_SPELLINGS),
        )


def ports_are_unique(raw: Raw) -> Iterator[Issue]:
    seen: set[int] = set()
    for index, entry in enumerate(listing(mapping(raw.get("resources")).get("ports"))):
        port = whole(entry)
        if port is None:
            continue
        if port in seen:
            yield Issue(("resources", "ports", index), f"{port} is listed twice", port, "unique ports")
        seen.add(port)


def env_names_are_unique_and_free(raw: Raw) -> Iterator[Issue]:
    first: dict[str, int] = {}
    for index, entry in enumerate(listing(raw.get("env"))):
        name = text(mapping(entry).get("name"))
        if name is None:
            continue
        path = ("env", index, "name")
        if re.fullmatch(RESERVED_VARIABLE, name):
            message = f"{shown(path, name)} is set by the platform"
            yield Issue(path, message, shown(path, name), "any name but PORT, PORT_<n> and SPECSTREAM_<...>")
        if name in first:
            message = f"{shown(path, name)} is set already by entry {first[name]}"
            yield Issue(path, message, shown(path, name), "unique names")
        first.setdefault(name, index)


def arguments_can_start_a_process(raw: Raw) -> Iterator[Issue]:
    for index, argument in arguments(raw.get("command")):
        if index == 0 and not argument:
            yield Issue(("command", 0), "must not be empty: it is the program to start", "", A_PROGRAM)
        if _bytes(argument) > MAX_ARGUMENT_BYTES:
            yield _too_long(("command", index), argument)
    for path, check in checks(raw):
        for index, argument in arguments(mapping(check.get("exec")).get("command")):
            place = (*path, "exec", "command", index)
            if index == 0 and not argument:
                yield Issue(place, "must not be empty: it is the program to start", "", A_PROGRAM)
            if _bytes(argument) > MAX_ARGUMENT_BYTES:
                yield _too_long(place, argument)
    for index, entry in enumerate(listing(raw.get("env"))):
        name, value = text(mapping(entry).get("name")), text(mapping(entry).get("value"))
        if name is not None and value is not None and _bytes(f"{name}={value}") > MAX_ARGUMENT_BYTES:
            yield _too_long(("env", index, "value"), value)


def arguments_fit_together(raw: Raw) -> Iterator[Issue]:
    command = sum(_counted(argument) for _, argument in arguments(raw.get("command")))
    env = 0
    for entry in listing(raw.get("env")):
        name, value = text(mapping(entry).get("name")), text(mapping(entry).get("value"))
        env += _counted(f"{name}={value}") if name is not None and value is not None else 0
    if command + env > MAX_ARGUMENTS_BYTES:
        field = "command" if command >= env else "env"
        message = f"is too long: command and env together take {command + env} bytes to start a process with"
        yield Issue((field,), message, shown((field,), raw[field]), f"at most {MAX_ARGUMENTS_BYTES} bytes")
    for path, check in checks(raw):
        sent = mapping(check.get("exec")).get("command")
        command = sum(_counted(argument) for _, argument in arguments(sent))
        if command and command + env > MAX_ARGUMENTS_BYTES:
            place = (*path, "exec", "command")
            message = f"is too long: it takes {command + env} bytes with env to start a process with"
            yield Issue(place, message, shown(place, sent), f"at most {MAX_ARGUMENTS_BYTES} bytes")


def image_repository_is_short(raw: Raw) -> Iterator[Issue]:
    """Registries keep no longer one. The host is not counted."""
    image = text(raw.get("image")) or ""
    first, slash, rest = image.partition("@")[0].partition("/")
    has_host = bool(slash) and (first == "localhost" or any(sign in first for sign in ".:"))
    path = rest if has_host else image.partition("@")[0]
    length = len(path.partition(":")[0])
    if length > MAX_REPOSITORY_LENGTH:
        message = f"names a repository of {length} characters"
        yield Issue(("image",), message, shown(("image",), image), f"at most {MAX_REPOSITORY_LENGTH}")


def headers_can_be_sent(raw: Raw) -> Iterator[Issue]:
    for path, check in checks(raw):
        has_host = "host" in check
        for index, entry in enumerate(listing(check.get("headers"))):
            name = text(mapping(entry).get("name"))
            place = (*path, "headers", index, "name")
            if name is None:
                continue
            if name.lower() in HOP_BY_HOP:
                message = f"{name} cannot be sent with a check: it is about the connection, which is ours"
                yield Issue(
                    place, message, shown(place, name), f"any name but {', '.join(sorted(HOP_BY_HOP))}"
                )
            elif name.lower() == "host":
                if has_host:
                    message = "Host is given already, and a request has one: by `host` or an earlier header"
                    yield Issue(place, message, shown(place, name), "one of them")
                has_host = True
                yield from _host_can_be_sent((*path, "headers", index, "value"), mapping(entry).get("value"))


def _host_can_be_sent(path: tuple[str | int, ...], value: object) -> Iterator[Issue]:
    host = text(value)
    if host is not None and not re.fullmatch(HOST, host):
        allowed = "a host name or an address, and maybe a port"
        yield Issue(path, "no request can have such a Host", shown(path, host), allowed)


def checks_have_one_form(raw: Raw) -> Iterator[Issue]:
    for path, check in checks(raw):
        if "exec" in check:
            for name in _HTTP_FIELDS:
                if name in check:
                    message = "belongs to an HTTP check, and this one is exec: give one of them"
                    yield Issue((*path, name), message, shown((*path, name), check[name]), [name, "exec"])
        elif "path" not in check:
            message = "is required (or exec, for a check that runs a command)"
            yield Issue((*path, "path"), message, None, ["path", "exec"])


def checks_use_the_ports(raw: Raw) -> Iterator[Issue]:
    ports = listing(mapping(raw.get("resources")).get("ports")) or [raw.get("port", 80)]
    if any(whole(port) is None for port in ports):
        return
    for path, check in checks(raw):
        port = whole(check.get("port"))
        if port is not None and port not in ports:
            yield Issue((*path, "port"), "is not one of the spec's ports", shown(path, port), ports[:100])


def integrations_are_consistent(raw: Raw) -> Iterator[Issue]:
    first: dict[str, int] = {}
    for index, entry in enumerate(listing(raw.get("integrations"))):
        integration = mapping(entry)
        path = text(integration.get("path"))
        if path is not None:
            if path in first:
                message = f"is the path of entry {first[path]} already"
                yield Issue(("integrations", index, "path"), message, shown((), path), "unique paths")
            first.setdefault(path, index)
        for one, other in (("accessKeyId", "secretAccessKey"), ("username", "password")):
            for given, lacking in ((one, other), (other, one)):
                if given in integration and lacking not in integration:
                    message = f"is required together with {given}"
                    yield Issue(("integrations", index, lacking), message, None, "both of them, or neither")


def _bytes(argument: str) -> int:
    return len(argument.encode("utf-8", "surrogatepass"))


def _counted(argument: str) -> int:
    """What an argument takes of the space that execve has: itself, its NUL and a pointer to it."""
    return _bytes(argument) + 1 + 8


def _too_long(path: tuple[str | int, ...], value: str) -> Issue:
    message = f"is too long to start a process with: at most {MAX_ARGUMENT_BYTES} bytes"
    return Issue(path, message, shown(path, value), f"at most {MAX_ARGUMENT_BYTES} bytes, the name included")
